//! The exponential moving average of a network's weights.

use crate::Result;
use crate::gpu::Gpu;
use crate::kernels::elementwise;
use crate::nn::Network;
use crate::tensor::Tensor;

/// `a ← a + (1 − d) (w − a)` after each step, of the parameters and of the running statistics (Polyak & Juditsky 1992, in the
/// exponential form of TensorFlow's `ExponentialMovingAverage`, whose ramp it has: d is `min(decay, (1 + t) / (10 + t))` at step t, from 1,
/// so that the first weights, which are noise, are soon forgotten).
pub(crate) struct WeightAverage {
    /// A network that has the averages as its weights.
    pub network: Network,
    decay: f64,
    /// 1 − d of this step, `[1]`.
    factor: Tensor,
}

impl WeightAverage {
    /// Begins with the weights of `network`.
    pub(crate) fn new(gpu: &Gpu, network: &Network, decay: f64) -> Result<Self> {
        let own = Network::new(gpu, network.spec().clone(), 0)?;
        own.params().values().copy_from(gpu, network.params().values())?;
        own.params().statistics().copy_from(gpu, network.params().statistics())?;
        Ok(WeightAverage { network: own, decay, factor: Tensor::from_f32(gpu, &[0.0], &[1])? })
    }

    fn factor(&self, step: u64) -> f32 {
        let step = step as f64;
        (1.0 - self.decay.min((1.0 + step) / (10.0 + step))) as f32
    }

    /// Begins step number `step`, from 1: writes what changes from step to step.
    pub(crate) fn prepare(&self, gpu: &Gpu, step: u64) -> Result<()> {
        self.factor.write_f32(gpu, &[self.factor(step)])
    }

    /// Takes the weights of `network` in; the same dispatches each time.
    pub(crate) fn apply(&self, gpu: &Gpu, network: &Network) -> Result<()> {
        let (own, new) = (self.network.params(), network.params());
        elementwise::lerp(gpu, new.values(), &self.factor, own.values())?;
        elementwise::lerp(gpu, new.statistics(), &self.factor, own.statistics())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::{HeadSpec, Init, NetworkSpec, TrunkSpec};

    #[test]
    fn the_average_is_that_of_the_formula() {
        let gpu = Gpu::open().unwrap();
        let trunk = TrunkSpec { width: 0.25, ..TrunkSpec::new("resnet8".parse().unwrap()) };
        let spec = NetworkSpec { trunk, channels: 1, heads: vec![HeadSpec::linear("t", 2)], init: Init::HeNormal };
        let network = Network::new(&gpu, spec, 1).unwrap();
        let average = WeightAverage::new(&gpu, &network, 0.3).unwrap();
        let first = f64::from(network.params().values().to_f32(&gpu).unwrap()[0]);
        let mut want = first;
        for (step, value) in [(1, 2.0f32), (2, -1.0), (3, 0.5)] {
            elementwise::fill(&gpu, network.params().values(), value).unwrap();
            elementwise::fill(&gpu, network.params().statistics(), 2.0 * value).unwrap();
            average.prepare(&gpu, step).unwrap();
            average.apply(&gpu, &network).unwrap();
            // 2/11, 3/12 and then 0.3, which is less than 4/13.
            let decay = [2.0 / 11.0, 0.25, 0.3][step as usize - 1];
            want = decay * want + (1.0 - decay) * f64::from(value);
        }
        let got = average.network.params().values().to_f32(&gpu).unwrap()[0];
        assert!((f64::from(got) - want).abs() < 1e-6, "{got} {want}");
        let statistics = average.network.params().statistics().to_f32(&gpu).unwrap();
        assert!(statistics.iter().all(|v| v.is_finite() && *v != 1.0), "the running statistics are averaged too");
    }
}
