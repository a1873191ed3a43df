//! What is told of the objects that a network sees.

use crate::nn::boxes::NmsConfig;
use crate::{Error, Result};

/// Which of the objects that a detector sees are told. The default is what evaluation measures: scores from 0.05 on, and of two boxes of a
/// class that overlap by more than 0.6 the surer one (FCOS's values). Other kinds of tasks know nothing of it.
///
/// ```
/// use limbeck::predict::PredictOptions;
///
/// let options = PredictOptions::default().threshold(0.5)?.nms(0.45)?;
/// assert!(options.threshold(1.5).is_err());
/// # Ok::<(), limbeck::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct PredictOptions(NmsConfig);

impl PredictOptions {
    /// The lowest score of an object that is told, from 0 to 1.
    ///
    /// # Errors
    /// [`Error::Invalid`] for anything else.
    pub fn threshold(self, least: f32) -> Result<Self> {
        between("the threshold of objects", least.into())?;
        Ok(PredictOptions(NmsConfig { score: least, ..self.0 }))
    }

    /// Of two boxes of a class whose intersection over union is larger than this, from 0 to 1, the surer one is told.
    ///
    /// # Errors
    /// [`Error::Invalid`] for anything else.
    pub fn nms(self, overlap: f64) -> Result<Self> {
        between("the overlap of boxes", overlap)?;
        Ok(PredictOptions(NmsConfig { overlap, ..self.0 }))
    }

    pub(super) fn keep(&self) -> NmsConfig {
        self.0
    }
}

fn between(what: &str, value: f64) -> Result<()> {
    // No number is in no range.
    if (0.0..=1.0).contains(&value) {
        return Ok(());
    }
    Err(Error::Invalid(format!("{what} is {value}; it must be from 0 to 1")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_what_is_measured_and_ranges_are_held() {
        let plain = PredictOptions::default();
        assert_eq!(plain.keep(), NmsConfig::default());
        let options = plain.threshold(0.25).and_then(|o| o.nms(1.0)).unwrap();
        assert_eq!(options.keep(), NmsConfig { score: 0.25, overlap: 1.0, ..NmsConfig::default() });
        for wrong in [-0.1, 1.1, f32::NAN, f32::INFINITY] {
            let told = plain.threshold(wrong).unwrap_err().to_string();
            assert!(told.contains("threshold") && told.contains("from 0 to 1"), "{told}");
            assert!(plain.nms(wrong.into()).unwrap_err().to_string().contains("overlap of boxes"));
        }
    }
}
