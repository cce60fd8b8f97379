//! JSON into values by the rules of Go's decoder: keys in any case, null is nothing, unknown keys are ignored, and what does
//! not fit is told in its words.

use crate::error::ApiError;
use axum::http::{HeaderMap, StatusCode, header::CONTENT_TYPE};
use serde::ser::SerializeMap;
use serde_json::{Map, Value};

/// Where in a document something is, for people.
#[derive(Debug, Default)]
pub(crate) struct Place(Vec<String>);

impl Place {
    pub(crate) fn inside<T>(
        &mut self,
        key: &str,
        read: impl FnOnce(&mut Self) -> Result<T, Mismatch>,
    ) -> Result<T, Mismatch> {
        self.0.push(key.replace('~', "~0").replace('/', "~1"));
        let read = read(self)?;
        self.0.pop();
        Ok(read)
    }

    /// A value that is not what it should be.
    pub(crate) fn mismatch(&self, value: &Value, wanted: &str) -> Mismatch {
        let numeric = wanted.starts_with("int") || wanted.starts_with("uint") || wanted == "float64";
        let found = match value {
            Value::Null => "null".to_owned(),
            Value::Bool(_) => "bool".to_owned(),
            Value::Number(n) if numeric => format!("number {n}"),
            Value::Number(_) => "number".to_owned(),
            Value::String(_) => "string".to_owned(),
            Value::Array(_) => "array".to_owned(),
            Value::Object(_) => "object".to_owned(),
        };
        let place = match self.0.is_empty() {
            true => "Go value".to_owned(),
            false => format!("Go struct field .{}", self.0.join(".")),
        };
        Mismatch(format!("json: cannot unmarshal {found} into {place} of type {wanted}"))
    }
}

/// Why a document cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Mismatch(String);

/// A value that a document can hold.
pub(crate) trait Decode: Sized + Default {
    /// What Go calls the type.
    fn go() -> String;
    /// Reads anything but null.
    fn read(value: &Value, at: &mut Place) -> Result<Self, Mismatch>;
    /// Whether Go would leave it out where empty values are left out.
    fn is_zero(&self) -> bool;
}

/// An object with known keys.
pub(crate) trait Fields: Sized + Default {
    fn read_fields(&mut self, map: &Map<String, Value>, at: &mut Place) -> Result<(), Mismatch>;
    fn write_fields<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error>;
}

/// The value of a key: as it is written, or in another case.
pub(crate) fn lookup<'a>(map: &'a Map<String, Value>, key: &str) -> Option<&'a Value> {
    let same = |(k, v): (&String, &'a Value)| k.eq_ignore_ascii_case(key).then_some(v);
    map.get(key).or_else(|| map.iter().find_map(same))
}

/// Reads one field; null leaves it as it is.
pub(crate) fn field<T: Decode>(
    target: &mut T,
    map: &Map<String, Value>,
    key: &str,
    at: &mut Place,
) -> Result<(), Mismatch> {
    if let Some(value) = lookup(map, key).filter(|v| !v.is_null()) {
        *target = at.inside(key, |at| T::read(value, at))?;
    }
    Ok(())
}

/// Declares an object: each field with its key; `omit` leaves an empty one out when written, `flat` takes another object's
/// fields into this one.
macro_rules! object {
    (@read $self:ident $map:ident $at:ident $field:ident flat) => {
        $crate::request::decode::Fields::read_fields(&mut $self.$field, $map, $at)?;
    };
    (@read $self:ident $map:ident $at:ident $field:ident $key:literal $($omit:ident)?) => {
        $crate::request::decode::field(&mut $self.$field, $map, $key, $at)?;
    };
    (@write $self:ident $map:ident $field:ident flat) => {
        $crate::request::decode::Fields::write_fields(&$self.$field, $map)?;
    };
    (@write $self:ident $map:ident $field:ident $key:literal) => { $map.serialize_entry($key, &$self.$field)?; };
    (@write $self:ident $map:ident $field:ident $key:literal omit) => {
        if !$crate::request::decode::Decode::is_zero(&$self.$field) { $map.serialize_entry($key, &$self.$field)?; }
    };
    ($(#[$meta:meta])* $name:ident as $go:literal { $($(#[$doc:meta])* $field:ident: $ty:ty [$($kind:tt)+],)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Default, PartialEq)]
        pub(crate) struct $name { $($(#[$doc])* pub(crate) $field: $ty,)* }

        impl $crate::request::decode::Fields for $name {
            fn read_fields(
                &mut self,
                map: &serde_json::Map<String, serde_json::Value>,
                at: &mut $crate::request::decode::Place,
            ) -> Result<(), $crate::request::decode::Mismatch> {
                $(object!(@read self map at $field $($kind)+);)*
                Ok(())
            }

            fn write_fields<M: serde::ser::SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
                $(object!(@write self map $field $($kind)+);)*
                Ok(())
            }
        }

        impl $crate::request::decode::Decode for $name {
            fn go() -> String { $go.to_owned() }
            fn read(
                value: &serde_json::Value,
                at: &mut $crate::request::decode::Place,
            ) -> Result<Self, $crate::request::decode::Mismatch> {
                let map = value.as_object().ok_or_else(|| at.mismatch(value, $go))?;
                let mut read = Self::default();
                $crate::request::decode::Fields::read_fields(&mut read, map, at)?;
                Ok(read)
            }
            fn is_zero(&self) -> bool { false }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let mut map = serializer.serialize_map(None)?;
                $crate::request::decode::Fields::write_fields(self, &mut map)?;
                serde::ser::SerializeMap::end(map)
            }
        }
    };
}
pub(crate) use object;

/// Refuses a body that does not call itself JSON.
pub(crate) fn body(headers: &HeaderMap, body: &[u8]) -> Result<(), ApiError> {
    if body.is_empty() {
        return Ok(());
    }
    let Some(declared) = headers.get(CONTENT_TYPE) else {
        let message = "malformed Content-Type header (): mime: no media type";
        return Err(ApiError::bad_request(message));
    };
    let text = declared.to_str().unwrap_or_default();
    let kind = text.split(';').next().unwrap_or_default().trim();
    if kind.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    Err(ApiError::bad_request(format!(
        "unsupported Content-Type header ({kind}): must be 'application/json'"
    )))
}

/// Reads a document that has to be there.
pub(crate) fn document<T: Decode>(body: &[u8]) -> Result<T, ApiError> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Err(ApiError::bad_request("invalid JSON: got EOF while reading request body"));
    }
    let value: Value = serde_json::from_slice(body).map_err(|e| malformed(body, &e))?;
    if value.is_null() {
        return Ok(T::default());
    }
    T::read(&value, &mut Place::default()).map_err(|e| ApiError::bad_request(format!("invalid JSON: {e}")))
}

/// Reads a document that may be missing.
pub(crate) fn optional_document<T: Decode>(body: &[u8]) -> Result<T, ApiError> {
    match body.iter().all(u8::is_ascii_whitespace) {
        true => Ok(T::default()),
        false => document(body),
    }
}

/// Why a text is no JSON.
fn malformed(body: &[u8], error: &serde_json::Error) -> ApiError {
    let text = error.to_string();
    if error.is_eof() {
        return ApiError::bad_request("invalid JSON: unexpected EOF");
    }
    if text.starts_with("trailing characters") {
        return ApiError::bad_request("unexpected content after JSON");
    }
    let line = body.split(|b| *b == b'\n').nth(error.line().saturating_sub(1)).unwrap_or_default();
    let byte = line.get(error.column().saturating_sub(1)).copied().unwrap_or(b'\n');
    let character = match byte {
        b'\'' => r"'\''".to_owned(),
        b' '..=b'~' => format!("'{}'", byte as char),
        _ => format!("'\\x{byte:02x}'"),
    };
    let context = [
        ("key must be a string", "looking for beginning of object key string"),
        ("trailing comma", "looking for beginning of object key string"),
        ("expected `:`", "after object key"),
        ("expected `,` or `}`", "after object key:value pair"),
        ("expected `,` or `]`", "after array element"),
        ("control character", "in string literal"),
        ("invalid escape", "in string escape code"),
        ("invalid number", "in numeric literal"),
    ];
    let found = context.iter().find(|(start, _)| text.starts_with(start));
    let context = found.map_or("looking for beginning of value", |(_, words)| words);
    ApiError::new(StatusCode::BAD_REQUEST, format!("invalid JSON: invalid character {character} {context}"))
}
