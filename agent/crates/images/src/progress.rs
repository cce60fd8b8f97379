//! How far the layers of a transfer are, in the order that Docker's clients know.

use hull_ports::{LayerStatus, Progress};
use std::sync::{Mutex, PoisonError};

/// What was last said of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    /// It waits, and nothing of it has come.
    Waiting,
    /// So many bytes of it have come.
    Downloading(u64),
    /// All of it has come.
    Downloaded,
    /// It is in its place, or never will be.
    Ended,
}

/// One layer as it is shown.
#[derive(Debug, Clone)]
pub(crate) struct Shown {
    /// Its short id.
    pub(crate) id: String,
    /// Bytes of it.
    pub(crate) total: u64,
}

/// Tells of each layer of a pull. Nothing is said twice, and nothing after the end.
pub(crate) struct Reports<'a> {
    progress: &'a dyn Progress,
    layers: Vec<Shown>,
    told: Mutex<Vec<Told>>,
}

impl<'a> Reports<'a> {
    /// Says that all will be fetched, and that those beyond the first `slots` wait.
    pub(crate) fn begin(progress: &'a dyn Progress, layers: Vec<Shown>, slots: usize) -> Self {
        layers.iter().for_each(|layer| progress.layer(&layer.id, LayerStatus::Pulling));
        layers.iter().skip(slots).for_each(|layer| progress.layer(&layer.id, LayerStatus::Waiting));
        let told = Mutex::new(vec![Told::Waiting; layers.len()]);
        Self { progress, layers, told }
    }

    /// So many bytes of a layer have come.
    pub(crate) fn at(&self, index: usize, done: u64) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let (layer, told) = (&self.layers[index], &mut told[index]);
        let total = layer.total;
        let known = match *told {
            Told::Waiting => 0,
            Told::Downloading(known) => known,
            Told::Downloaded | Told::Ended => return,
        };
        if done >= total && total > 0 {
            self.downloaded(layer);
            *told = Told::Downloaded;
        } else if done != known {
            self.progress.layer(&layer.id, LayerStatus::Downloading { done, total });
            *told = Told::Downloading(done);
        }
    }

    fn downloaded(&self, layer: &Shown) {
        let total = layer.total;
        self.progress.layer(&layer.id, LayerStatus::Verifying);
        self.progress.layer(&layer.id, LayerStatus::Downloaded);
        // It was stored as it came.
        self.progress.layer(&layer.id, LayerStatus::Extracting { done: total, total });
    }

    /// A layer is in its place.
    pub(crate) fn pulled(&self, index: usize) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let layer = &self.layers[index];
        if !matches!(told[index], Told::Downloaded | Told::Ended) {
            self.downloaded(layer);
        }
        if told[index] != Told::Ended {
            self.progress.layer(&layer.id, LayerStatus::Pulled);
        }
        told[index] = Told::Ended;
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Keeps what it hears.
    #[derive(Default)]
    pub(crate) struct Heard(pub(crate) Mutex<Vec<(String, LayerStatus)>>);

    impl Progress for Heard {
        fn bytes(&self, _done: u64, _total: Option<u64>) {}

        fn layer(&self, layer: &str, status: LayerStatus) {
            self.0.lock().unwrap().push((layer.to_owned(), status));
        }
    }

    #[test]
    fn a_layer_goes_through_all_of_it_once() {
        let heard = Heard::default();
        let layers = ["a", "b"].map(|id| Shown { id: id.into(), total: 10 });
        let reports = Reports::begin(&heard, layers.to_vec(), 1);
        for done in [0, 4, 4, 10, 10] {
            reports.at(0, done);
        }
        reports.pulled(0);
        reports.pulled(0);
        reports.at(0, 3);
        reports.pulled(1);
        let of = |id: &str| -> Vec<LayerStatus> {
            heard.0.lock().unwrap().iter().filter(|(l, _)| l == id).map(|(_, s)| s.clone()).collect()
        };
        let end = [
            LayerStatus::Verifying,
            LayerStatus::Downloaded,
            LayerStatus::Extracting { done: 10, total: 10 },
            LayerStatus::Pulled,
        ];
        let begin = [LayerStatus::Pulling, LayerStatus::Downloading { done: 4, total: 10 }];
        assert_eq!(of("a"), [&begin[..], &end[..]].concat());
        assert_eq!(of("b"), [&[LayerStatus::Pulling, LayerStatus::Waiting][..], &end[..]].concat());
    }
}
