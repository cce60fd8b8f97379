//! The kinds of values that documents hold: those of Go, and a few of Docker's own.

use super::decode::{Decode, Mismatch, Place};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;

impl Decode for bool {
    fn go() -> String {
        "bool".to_owned()
    }
    fn read(value: &Value, at: &mut Place) -> Result<Self, Mismatch> {
        value.as_bool().ok_or_else(|| at.mismatch(value, "bool"))
    }
    fn is_zero(&self) -> bool {
        !self
    }
}

macro_rules! number {
    ($($ty:ty as $go:literal by $get:ident),*) => { $(
        impl Decode for $ty {
            fn go() -> String { $go.to_owned() }
            fn read(value: &Value, at: &mut Place) -> Result<Self, Mismatch> {
                let number = value.$get().and_then(|n| n.try_into().ok());
                number.ok_or_else(|| at.mismatch(value, $go))
            }
            fn is_zero(&self) -> bool { *self == 0 }
        }
    )* };
}
number!(i64 as "int64" by as_i64, isize as "int" by as_i64, u16 as "uint16" by as_u64, u64 as "uint64" by as_u64,
    u32 as "uint32" by as_u64, usize as "uint" by as_u64);

impl Decode for String {
    fn go() -> String {
        "string".to_owned()
    }
    fn read(value: &Value, at: &mut Place) -> Result<Self, Mismatch> {
        value.as_str().map(str::to_owned).ok_or_else(|| at.mismatch(value, "string"))
    }
    fn is_zero(&self) -> bool {
        self.is_empty()
    }
}

impl<T: Decode> Decode for Option<T> {
    fn go() -> String {
        T::go()
    }
    fn read(value: &Value, at: &mut Place) -> Result<Self, Mismatch> {
        T::read(value, at).map(Some)
    }
    fn is_zero(&self) -> bool {
        self.as_ref().is_none_or(T::is_container_zero)
    }
}

/// Go leaves out empty lists and maps as well as those that are not there, but no pointer to an empty value.
trait ContainerZero {
    fn is_container_zero(&self) -> bool;
}

impl<T: Decode> ContainerZero for T {
    fn is_container_zero(&self) -> bool {
        let go = T::go();
        (go.starts_with('[') || go.starts_with("map")) && self.is_zero()
    }
}

impl<T: Decode> Decode for Vec<T> {
    fn go() -> String {
        format!("[]{}", T::go())
    }
    fn read(value: &Value, at: &mut Place) -> Result<Self, Mismatch> {
        let list = value.as_array().ok_or_else(|| at.mismatch(value, &Self::go()))?;
        let item = |(index, value): (usize, &Value)| match value {
            Value::Null => Ok(T::default()),
            value => at.inside(&index.to_string(), |at| T::read(value, at)),
        };
        list.iter().enumerate().map(item).collect()
    }
    fn is_zero(&self) -> bool {
        self.is_empty()
    }
}

impl<T: Decode> Decode for BTreeMap<String, T> {
    fn go() -> String {
        format!("map[string]{}", T::go())
    }
    fn read(value: &Value, at: &mut Place) -> Result<Self, Mismatch> {
        let map = value.as_object().ok_or_else(|| at.mismatch(value, &Self::go()))?;
        let entry = |(key, value): (&String, &Value)| match value {
            Value::Null => Ok((key.clone(), T::default())),
            value => Ok((key.clone(), at.inside(key, |at| T::read(value, at))?)),
        };
        map.iter().map(entry).collect()
    }
    fn is_zero(&self) -> bool {
        self.is_empty()
    }
}

/// `{}`: only that it is there counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Empty {}

impl Decode for Empty {
    fn go() -> String {
        "struct {}".to_owned()
    }
    fn read(value: &Value, at: &mut Place) -> Result<Self, Mismatch> {
        value.as_object().map(|_| Self {}).ok_or_else(|| at.mismatch(value, "struct {}"))
    }
    fn is_zero(&self) -> bool {
        false
    }
}

/// Nanoseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub(crate) struct Nanoseconds(pub(crate) i64);

impl Decode for Nanoseconds {
    fn go() -> String {
        "time.Duration".to_owned()
    }
    fn read(value: &Value, at: &mut Place) -> Result<Self, Mismatch> {
        value.as_i64().map(Self).ok_or_else(|| at.mismatch(value, "time.Duration"))
    }
    fn is_zero(&self) -> bool {
        self.0 == 0
    }
}

/// Program and arguments: a list, or for old clients one text.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub(crate) struct Words(pub(crate) Vec<String>);

impl Decode for Words {
    fn go() -> String {
        "[]string".to_owned()
    }
    fn read(value: &Value, at: &mut Place) -> Result<Self, Mismatch> {
        if let Some(text) = value.as_str() {
            return Ok(Self(vec![text.to_owned()]));
        }
        let Value::Array(list) = value else {
            return Err(Place::default().mismatch(value, "string"));
        };
        let word = |v: &Value| match v {
            Value::Null => Ok(String::new()),
            v => v.as_str().map(str::to_owned).ok_or_else(|| at.mismatch(v, "string")),
        };
        list.iter().map(word).collect::<Result<_, _>>().map(Self)
    }
    fn is_zero(&self) -> bool {
        self.0.is_empty()
    }
}

/// Rows and columns.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub(crate) struct Size(pub(crate) [u64; 2]);

impl Decode for Size {
    fn go() -> String {
        "[2]uint".to_owned()
    }
    fn read(value: &Value, at: &mut Place) -> Result<Self, Mismatch> {
        let list = value.as_array().ok_or_else(|| at.mismatch(value, "[2]uint"))?;
        let mut size = [0; 2];
        for (index, (target, value)) in size.iter_mut().zip(list).enumerate() {
            *target = at.inside(&index.to_string(), |at| usize::read(value, at))? as u64;
        }
        Ok(Self(size))
    }
    fn is_zero(&self) -> bool {
        false
    }
}
