//! What is no number, or infinite, is told of on every adapter: in each loss, whose sum is where training looks for it, and on the way
//! there, where a ReLU, a maximum or a clipped gradient could make an ordinary number of it.

use limbeck::Result;
use limbeck::gpu::{Gpu, Options};
use limbeck::kernels::case::values;
use limbeck::kernels::contrast::Contrast;
use limbeck::kernels::conv2d::{self, Epilogue, Pass};
use limbeck::kernels::rows::{Counting, RowParallelism};
use limbeck::kernels::*;
use limbeck::shape::{Conv2d, Pool2d};
use limbeck::tensor::Tensor;

const ROWS: usize = 5;
/// More than the invocations of a workgroup, so that some see only a part of a row.
const COLUMNS: usize = 70;
const BAD: [f32; 3] = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY];

/// Values of which the one at `place` is `bad`.
fn spoilt(gpu: &Gpu, shape: &[usize], place: usize, bad: f32) -> Result<Tensor> {
    let mut all: Vec<f32> = values(1, shape.iter().product()).iter().map(|v| 0.3 * v).collect();
    all[place] = bad;
    Tensor::from_f32(gpu, &all, shape)
}

fn sound(gpu: &Gpu, shape: &[usize]) -> Result<Tensor> {
    let all: Vec<f32> = values(2, shape.iter().product()).iter().map(|v| 0.3 * v).collect();
    Tensor::from_f32(gpu, &all, shape)
}

/// The shares of a loss, whose sum is logged.
fn shares(gpu: &Gpu, count: usize, loss: impl FnOnce(LossOut) -> Result<()>) -> Result<Vec<f32>> {
    let row_loss = Tensor::empty(gpu, &[count])?;
    loss(LossOut { weight: 0.75, grad: None, row_loss: &row_loss })?;
    row_loss.to_f32(gpu)
}

/// The losses of one matrix `z`, by name.
fn of_logits(gpu: &Gpu, z: &Tensor, rows: RowParallelism) -> Result<Vec<(String, Vec<f32>)>> {
    let labels = Tensor::from_u32(gpu, &[3, 0, 69, 7, 8], &[ROWS])?;
    let weights = Tensor::from_f32(gpu, &[1.0; COLUMNS], &[COLUMNS])?;
    let targets = Tensor::from_f32(gpu, &[0.0; ROWS * COLUMNS], &[ROWS, COLUMNS])?;
    let mut all = Vec::new();
    let mut put = |name: &str, shares: Result<Vec<f32>>| shares.map(|shares| all.push((name.to_string(), shares)));
    for counting in Counting::ALL {
        let how = (rows, counting);
        for smoothing in [0.0, 0.1] {
            let loss = |out: LossOut| cross_entropy::cross_entropy_with(gpu, z, &labels, smoothing, out, how);
            put(&format!("cross_entropy {smoothing} {counting:?}"), shares(gpu, ROWS, loss))?;
        }
        for positive in [None, Some(&weights)] {
            let loss =
                |out: LossOut| binary_cross_entropy::binary_cross_entropy_with(gpu, z, &targets, positive, out, how);
            put(&format!("binary_cross_entropy {} {counting:?}", positive.is_some()), shares(gpu, ROWS, loss))?;
        }
        for kind in [
            regression::RegressionLoss::L2,
            regression::RegressionLoss::L1,
            regression::RegressionLoss::Huber { delta: 1.0 },
        ] {
            let loss = |out: LossOut| regression::regression_with(gpu, z, &targets, kind, out, how);
            put(&format!("regression {kind:?} {counting:?}"), shares(gpu, ROWS, loss))?;
        }
        for gamma in [0.0, 2.0] {
            let loss = |out: LossOut| focal::focal_with(gpu, z, &labels, &weights, gamma, out, how);
            put(&format!("focal {gamma} {counting:?}"), shares(gpu, ROWS, loss))?;
        }
        let loss = |out: LossOut| focal::poly1_with(gpu, z, &labels, &weights, 1.0, out, how);
        put(&format!("poly1 {counting:?}"), shares(gpu, ROWS, loss))?;
    }
    put("dice", shares(gpu, COLUMNS, |out| dice::dice_with(gpu, z, &labels, &weights, 1.0, out, rows)))?;
    Ok(all)
}

/// The losses between two matrices, by name.
fn of_two(gpu: &Gpu, s: &Tensor, t: &Tensor, rows: RowParallelism) -> Result<Vec<(String, Vec<f32>)>> {
    let labels = Tensor::from_u32(gpu, &[3, 0, u32::MAX, 7, 8], &[ROWS])?;
    let mut all = Vec::new();
    let mut put = |name: &str, shares: Result<Vec<f32>>| shares.map(|shares| all.push((name.to_string(), shares)));
    for standardise in [None, Some(1e-7)] {
        let loss = |out: LossOut| distill_kl::distill_kl_with(gpu, (s, t), 4.0, standardise, out, rows);
        put(&format!("distill_kl {standardise:?}"), shares(gpu, ROWS, loss))?;
    }
    let settings = dkd::Settings { temperature: 4.0, alpha: 1.0, beta: 8.0 };
    put("dkd", shares(gpu, ROWS, |out| dkd::dkd_with(gpu, (s, t, &labels), settings, out, rows)))?;
    put("sigmoid_kl", shares(gpu, ROWS, |out| sigmoid_kl::sigmoid_kl_with(gpu, (s, t), 2.0, out, rows)))?;
    for distance in [feature_loss::Distance::Squared, feature_loss::Distance::Normalised { eps: 1e-6 }] {
        let loss = |out: LossOut| feature_loss::feature_loss_with(gpu, (s, t), distance, out, (1, rows));
        put(&format!("feature_loss {distance:?}"), shares(gpu, ROWS, loss))?;
    }
    for (of, count) in [(correlation::Of::Rows, ROWS), (correlation::Of::Columns, COLUMNS)] {
        let loss = |out: LossOut| correlation::correlation_with(gpu, (s, t), of, 0, out, rows);
        put(&format!("correlation {count}"), shares(gpu, count, loss))?;
    }
    let (mask, total) = (Tensor::from_f32(gpu, &[1.0; ROWS], &[ROWS])?, Tensor::from_f32(gpu, &[5.0], &[1])?);
    let loss = |out: LossOut| imitation::imitation_with(gpu, (s, t), (&mask, &total), out, rows);
    put("imitation", shares(gpu, ROWS, loss))?;
    let rho = sound(gpu, &[COLUMNS])?;
    put("vid", shares(gpu, ROWS, |out| vid::vid_with(gpu, (s, t, &rho), out, None, rows)))?;
    for relation in [rkd::Relation::Distance, rkd::Relation::Angle] {
        let loss = |out: LossOut| rkd::rkd(gpu, s, t, relation, out);
        put(&format!("rkd {relation:?}"), shares(gpu, relation.losses(ROWS), loss))?;
    }
    let (scores, classes) = (sound(gpu, &[ROWS, 3])?, Tensor::from_f32(gpu, &[-1.0, 20.0, 21.0], &[3])?);
    let what = Contrast { anchors: s, positives: t, scores: &scores, labels: &labels, classes: &classes, tau: 0.3 };
    put("contrast", shares(gpu, ROWS, |out| contrast::contrast_with(gpu, what, out, None, rows)))?;
    Ok(all)
}

/// A detector's losses of `z` and after a teacher that says `taught`, both `[1, 4, 7]`, by name.
fn of_a_detector(gpu: &Gpu, z: &Tensor, taught: Option<&Tensor>) -> Result<Vec<(String, Vec<f32>)>> {
    let targets = [0.0f32, 1.0, 2.0, 1.5, 1.0, 0.7].repeat(4);
    let (targets, norms) = (Tensor::from_f32(gpu, &targets, &[4, 6])?, Tensor::from_f32(gpu, &[4.0, 2.8], &[2])?);
    let mut all = Vec::new();
    if let Some(taught) = taught {
        let of = fcos::Soft { taught, temperature: 2.0 };
        all.push(("soft".into(), shares(gpu, 4, |out| fcos::soft(gpu, of, z, (&targets, &norms), out))?));
        return Ok(all);
    }
    for part in [fcos::Part::Classes(fcos::Focal { alpha: 0.25, gamma: 2.0 }), fcos::Part::Boxes, fcos::Part::Centre] {
        all.push((format!("{part:?}"), shares(gpu, 4, |out| fcos::loss(gpu, part, z, (&targets, &norms), out))?));
    }
    Ok(all)
}

/// Names of those without a share that is not finite.
fn silent(all: Vec<(String, Vec<f32>)>, how: &str) -> Vec<String> {
    let quiet = all.into_iter().filter(|(_, shares)| shares.iter().all(|v| v.is_finite()));
    quiet.map(|(name, shares)| format!("{name}, {how}: {:?}", &shares[..shares.len().min(5)])).collect()
}

fn finite(all: &[(String, Vec<f32>)]) {
    for (name, shares) in all {
        assert!(shares.iter().all(|v| v.is_finite()), "{name} of finite values: {shares:?}");
    }
}

fn gpu() -> Gpu {
    Gpu::new(Options { poison: true, ..Options::default() }).unwrap()
}

#[test]
fn losses_tell_of_what_is_not_finite() {
    let gpu = gpu();
    let shape = [ROWS, COLUMNS];
    let mut failures = Vec::new();
    let good = sound(&gpu, &shape).unwrap();
    for rows in RowParallelism::ALL {
        finite(&of_logits(&gpu, &good, rows).unwrap());
        finite(&of_two(&gpu, &good, &spoilt(&gpu, &shape, 0, 0.1).unwrap(), rows).unwrap());
        for bad in BAD {
            // The label of its row, another class, and the last.
            for place in [COLUMNS + 1, COLUMNS, 4 * COLUMNS + 69] {
                let how = format!("{rows:?}, {bad} at {place}");
                let spoilt = spoilt(&gpu, &shape, place, bad).unwrap();
                failures.extend(silent(of_logits(&gpu, &spoilt, rows).unwrap(), &how));
                failures.extend(silent(of_two(&gpu, &spoilt, &good, rows).unwrap(), &format!("student's {how}")));
                failures.extend(silent(of_two(&gpu, &good, &spoilt, rows).unwrap(), &format!("teacher's {how}")));
            }
        }
    }
    assert!(failures.is_empty(), "{} are silent:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn losses_of_few_inputs_tell_of_what_is_not_finite() {
    let gpu = gpu();
    let mut failures = Vec::new();
    for bad in BAD {
        let square = |place| spoilt(&gpu, &[ROWS, ROWS], place, bad).unwrap();
        let good = Tensor::from_f32(&gpu, &[0.5; ROWS * ROWS], &[ROWS, ROWS]).unwrap();
        for rows in RowParallelism::ALL {
            for (what, s, t) in [("student's", &square(7), &good), ("teacher's", &good, &square(7))] {
                let told = shares(&gpu, ROWS, |out| pkt::pkt_with(&gpu, s, t, out, rows)).unwrap();
                failures.extend(silent(vec![("pkt".into(), told)], &format!("{what} {bad}, {rows:?}")));
            }
            let (m, rho) = (sound(&gpu, &[ROWS, COLUMNS]).unwrap(), spoilt(&gpu, &[COLUMNS], 3, bad).unwrap());
            let told = shares(&gpu, ROWS, |out| vid::vid_with(&gpu, (&m, &m, &rho), out, None, rows)).unwrap();
            failures.extend(silent(vec![("vid".into(), told)], &format!("rho {bad}, {rows:?}")));
            let scores = spoilt(&gpu, &[ROWS, 3], 4, bad).unwrap();
            let labels = Tensor::from_u32(&gpu, &[0, 1, 2, 3, 4], &[ROWS]).unwrap();
            let classes = Tensor::from_f32(&gpu, &[20.0; 3], &[3]).unwrap();
            let what =
                Contrast { anchors: &m, positives: &m, scores: &scores, labels: &labels, classes: &classes, tau: 0.3 };
            let told = shares(&gpu, ROWS, |out| contrast::contrast_with(&gpu, what, out, None, rows)).unwrap();
            failures.extend(silent(vec![("contrast".into(), told)], &format!("score {bad}, {rows:?}")));
        }
        // Two classes, four distances, centre-ness.
        let good = sound(&gpu, &[1, 4, 7]).unwrap();
        finite(&of_a_detector(&gpu, &good, None).unwrap());
        for (place, part) in [(7, 0), (7 + 3, 1), (7 + 6, 2)] {
            let z = spoilt(&gpu, &[1, 4, 7], place, bad).unwrap();
            let told = of_a_detector(&gpu, &z, None).unwrap().swap_remove(part);
            failures.extend(silent(vec![told], &format!("{bad}")));
        }
        let spoilt = spoilt(&gpu, &[1, 4, 7], 8, bad).unwrap();
        failures.extend(silent(of_a_detector(&gpu, &spoilt, Some(&good)).unwrap(), &format!("student's {bad}")));
        failures.extend(silent(of_a_detector(&gpu, &good, Some(&spoilt)).unwrap(), &format!("teacher's {bad}")));
    }
    assert!(failures.is_empty(), "{} are silent:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn clipping_tells_of_a_gradient_that_is_not_finite() {
    let gpu = gpu();
    for bad in BAD {
        let grad = spoilt(&gpu, &[5000], 4321, bad).unwrap();
        let told = gradient_norm::clip(&gpu, &grad, 1.0).unwrap().to_f32(&gpu).unwrap();
        assert!(told.iter().all(|v| !v.is_finite()), "of {bad}: norm and factor {told:?}");
    }
}

/// A sign bit is set where x86 makes a NaN, and not where others do.
const NANS: [u32; 3] = [0x7fc0_0000, 0xffc0_0000, 0x7f80_0001];

fn assert_kept(what: &str, bits: u32, y: &[f32], place: impl Fn(usize) -> bool) {
    for (i, v) in y.iter().enumerate() {
        assert!(if place(i) { v.is_nan() } else { *v >= 0.0 }, "{what} of {bits:x}: value {i} is {v}");
    }
}

#[test]
fn activations_and_maxima_keep_what_is_no_number() {
    let gpu = &gpu();
    for bits in NANS {
        let nan = f32::from_bits(bits);
        let x = spoilt(gpu, &[2, 6, 6, 8], 100, nan).unwrap();
        let y = elementwise::relu(gpu, &x).unwrap().to_f32(gpu).unwrap();
        assert_kept("relu", bits, &y, |i| i == 100);
        for c in [3, 8] {
            // A channel's mean reaches all of it.
            let x = spoilt(gpu, &[2, 5, 5, c], 1, nan).unwrap();
            let ones = Tensor::from_f32(gpu, &vec![1.0; c], &[c]).unwrap();
            let running = Tensor::from_f32(gpu, &vec![1.0; 2 * c], &[2, c]).unwrap();
            let norm = batch_norm::Norm { gamma: ones.clone(), beta: ones, running, eps: 1e-5, momentum: 0.1 };
            let stats = batch_norm::batch_stats(gpu, &x, &norm, None).unwrap();
            let y = batch_norm::normalize(gpu, &x, &stats, &norm, None, true).unwrap().to_f32(gpu).unwrap();
            assert_kept("batch_norm", bits, &y, |i| i % c == 1);

            let pool = Pool2d { n: 1, h: 6, w: 6, c, kernel: 2, stride: 2, padding: 0 };
            let mut pixels = vec![0.5; 36 * c];
            // Row 1, column 3, channel 2: in the window above, second from the left.
            pixels[(6 + 3) * c + 2] = nan;
            let x = Tensor::from_f32(gpu, &pixels, &[1, 6, 6, c]).unwrap();
            for vec in if c == 8 { vec![1, 4] } else { vec![1] } {
                let y = pool::max_with(gpu, &pool, &x, vec).unwrap().to_f32(gpu).unwrap();
                assert_kept("pool", bits, &y, |i| i == c + 2);
            }
        }
        convolutions(gpu, bits);
    }
}

/// In every family, by a bias that is no number.
fn convolutions(gpu: &Gpu, bits: u32) {
    for (ci, co, kernel, groups) in [(8, 8, 3, 1), (4, 6, 1, 1), (8, 5, 3, 1), (8, 8, 3, 8)] {
        let s = Conv2d {
            n: 1,
            h: 8,
            w: 8,
            ci,
            co,
            kh: kernel,
            kw: kernel,
            stride: 1,
            padding: kernel / 2,
            dilation: 1,
            groups,
        };
        let (x, w) = (sound(gpu, &s.x_shape()).unwrap(), sound(gpu, &s.w_shape()).unwrap());
        let bias = spoilt(gpu, &[co], 2, f32::from_bits(bits)).unwrap();
        for variant in conv2d::variants(Pass::Forward, &s, gpu.profile()) {
            let epilogue = Epilogue { bias: Some(&bias), residual: None, relu: true };
            let y = conv2d::forward_with(gpu, &s, &x, &w, epilogue, variant).unwrap().to_f32(gpu).unwrap();
            assert_kept(&format!("{s:?} by {variant}"), bits, &y, |i| i % co == 2);
        }
    }
}
