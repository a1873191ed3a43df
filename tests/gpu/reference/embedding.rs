//! Contrastive distillation and knowledge review as compositions of references against PyTorch.

use super::*;
use limbeck::reference::{bank, contrast, fuse, resize};

/// Embeddings of length 1, each side judged with the other as given; then the banks with the batch in them.
pub fn crd(case: &Case) {
    let labels = case.labels("input.labels");
    let (n, classes, depth) = (labels.len(), input(case, "input.classes"), case.floats("input.student_bias").shape[0]);
    let names = ["student", "teacher"];
    let weights = names.map(|side| ["weight", "bias"].map(|what| input(case, &format!("input.{side}_{what}"))));
    let features = names.map(|side| input(case, &format!("input.{side}")));
    let banks = names.map(|side| input(case, &format!("input.bank_{side}")));
    let linear = |i: usize| {
        let [w, b] = &weights[i];
        linear::forward(&features[i], w, Some(b), n, features[i].len() / n, depth)
    };
    let raw = [linear(0), linear(1)];
    let unit = raw.each_ref().map(|z| normalize::forward(z, depth, 1e-12));
    let mut loss = 0.0;
    for (own, other) in [(0, 1), (1, 0)] {
        let k = classes.len();
        let scores = linear::forward(&unit[own], &banks[other], None, n, depth, k);
        let what = contrast::Contrast {
            anchors: &unit[own],
            positives: &unit[other],
            scores: &scores,
            labels: &labels,
            classes: &classes,
            tau: case.number("tau"),
        };
        loss += contrast::forward(&what);
        let (dscores, mut du) = contrast::grad(&what);
        let rest = linear::input_grad(&dscores, &banks[other], n, depth, k);
        du.iter_mut().zip(rest).for_each(|(du, rest)| *du += rest);
        let dz = normalize::grad(&raw[own], &du, depth, 1e-12);
        let (x, channels) = (&features[own], features[own].len() / n);
        check(case, &format!("grad.{}_weight", names[own]), &linear::weight_grad(x, &dz, n, channels, depth));
        check(case, &format!("grad.{}_bias", names[own]), &reduce::column_sum(&dz, depth));
        if own == 0 {
            check(case, "grad.student", &linear::input_grad(&dz, &weights[0][0], n, channels, depth));
        }
    }
    check(case, "output.loss", &[loss]);
    for (side, (unit, mut bank)) in names.iter().zip(unit.into_iter().zip(banks)) {
        let mut classes = classes.clone();
        bank::put((&unit, &labels), &mut bank, &mut classes, case.integer("cursor"));
        check(case, &format!("output.bank_{side}"), &bank);
        check(case, "output.classes", &classes);
    }
}

/// A convolution and its batch norm, with what the way back needs.
struct Layer {
    shape: Conv2d,
    name: String,
    x: Vec<f64>,
    z: Vec<f64>,
    y: Vec<f64>,
}

const EPS: f64 = 1e-5;

impl Layer {
    fn parameters(case: &Case, name: &str, j: usize) -> [Vec<f64>; 3] {
        ["", "_gamma", "_beta"].map(|part| input(case, &format!("input.{name}{part}{j}")))
    }

    fn run(case: &Case, name: &str, j: usize, x: Vec<f64>, shape: Conv2d) -> Layer {
        let [weight, gamma, beta] = Self::parameters(case, name, j);
        let z = conv2d::forward(&shape, &x, &weight, None);
        let (mean, var) = batch_norm::stats(&z, shape.co);
        let y = batch_norm::forward(&z, shape.co, &mean, &var, &gamma, &beta, EPS, None, false);
        Layer { shape, name: name.into(), x, z, y }
    }

    fn back(&self, case: &Case, j: usize, dy: &[f64]) -> Vec<f64> {
        let ([weight, gamma, _], name) = (Self::parameters(case, &self.name, j), &self.name);
        let (mean, var) = batch_norm::stats(&self.z, self.shape.co);
        let g = batch_norm::backward(dy, &self.y, &self.z, self.shape.co, &mean, &var, &gamma, EPS, false, true);
        check(case, &format!("grad.{name}_gamma{j}"), &g.dgamma);
        check(case, &format!("grad.{name}_beta{j}"), &g.dbeta);
        check(case, &format!("grad.{name}{j}"), &conv2d::weight_grad(&self.shape, &self.x, &g.dx));
        conv2d::input_grad(&self.shape, &g.dx, &weight)
    }
}

/// The hierarchical loss between maps of one size, and its gradient.
fn compare(s: &[f64], t: &[f64], size: [usize; 4]) -> (f64, Vec<f64>) {
    let parts: Vec<usize> = [4, 2, 1].into_iter().filter(|l| *l < size[1].min(size[2])).collect();
    let (mut loss, mut grad) = (feature_loss::mse(s, t), feature_loss::mse_grad(s, t));
    let (mut share, mut total) = (1.0, 1.0);
    for l in parts {
        share /= 2.0;
        total += share;
        let (a, b) = (adaptive_pool::forward(s, size, [l, l]), adaptive_pool::forward(t, size, [l, l]));
        loss += share * feature_loss::mse(&a, &b);
        let more = adaptive_pool::grad(&feature_loss::mse_grad(&a, &b), size, [l, l]);
        grad.iter_mut().zip(more).for_each(|(g, more)| *g += share * more);
    }
    (loss / total, grad.iter().map(|g| g / total).collect())
}

/// One level of the review on the way up.
struct Level {
    narrow: Layer,
    widen: Layer,
    fused: Option<Fused>,
    grad: Vec<f64>,
}

/// The map from below, resized, and its own size; the attention over it and the level's own map.
struct Fused {
    from: [usize; 4],
    map: Vec<f64>,
    attention: [Vec<f64>; 3],
}

/// Fusion and hierarchical loss over all levels.
pub fn review(case: &Case) {
    let count = (0..).take_while(|j| case.find(&format!("input.student{j}")).is_some()).count();
    let width = sizes(case, &format!("input.student{}", count - 1))[1];
    let size = |side: &str, j: usize| {
        let [n, c, h, w] = sizes(case, &format!("input.{side}{j}"));
        [n, h, w, c]
    };
    let (mut levels, mut loss) = (Vec::new(), 0.0);
    let mut below: Option<(Vec<f64>, [usize; 4])> = None;
    for j in (0..count).rev() {
        let ([n, h, w, c], [_, th, tw, tc]) = (size("student", j), size("teacher", j));
        let x = input(case, &format!("input.student{j}"));
        let narrow = Layer::run(case, "narrow", j, x, Conv2d::square(n, h, w, c, width, 1, 1, 0));
        let mut own = narrow.y.clone();
        let fused = below.map(|(map, from)| {
            let y = resize::nearest(&map, from, [h, w]);
            let all = input(case, &format!("input.attention{j}"));
            let half = |k: usize| all.chunks(2 * width).flat_map(|row| row[k * width..][..width].to_vec()).collect();
            let attention = [half(0), half(1), input(case, &format!("input.attention_bias{j}"))];
            own = fuse::forward([&own, &y, &attention[0], &attention[1], &attention[2]]).0;
            Fused { from, map: y, attention }
        });
        let own = resize::nearest(&own, [n, h, w, width], [th, tw]);
        let widen = Layer::run(case, "widen", j, own.clone(), Conv2d::square(n, th, tw, width, tc, 3, 1, 1));
        let (value, grad) = compare(&widen.y, &input(case, &format!("input.teacher{j}")), [n, th, tw, tc]);
        loss += value;
        below = Some((own, [n, th, tw, width]));
        levels.push(Level { narrow, widen, fused, grad });
    }
    check(case, "output.loss", &[loss]);
    // Down again: what a level got from below goes on as that one's gradient.
    let mut from_above: Vec<f64> = Vec::new();
    for (j, level) in levels.iter().rev().enumerate() {
        let [n, h, w, _] = size("student", j);
        let mut down = level.widen.back(case, j, &level.grad);
        down.iter_mut().zip(&from_above).for_each(|(d, above)| *d += above);
        let [_, th, tw, _] = size("teacher", j);
        let mut down = resize::nearest_grad(&down, [n, h, w, width], [th, tw]);
        if let Some(Fused { from, map, attention: [wx, wy, bias] }) = &level.fused {
            let [dx, dy, dwx, dwy, dbias] = fuse::grad([&level.narrow.y, map, wx, wy, bias], &down);
            let rows = dwx.chunks(width).zip(dwy.chunks(width));
            check(case, &format!("grad.attention{j}"), &rows.flat_map(|(x, y)| [x, y].concat()).collect::<Vec<f64>>());
            check(case, &format!("grad.attention_bias{j}"), &dbias);
            from_above = resize::nearest_grad(&dy, *from, [h, w]);
            down = dx;
        }
        check(case, &format!("grad.student{j}"), &level.narrow.back(case, j, &down));
    }
}
