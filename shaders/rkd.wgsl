// Relations between the samples of a batch (Park 2019), all from the squared distances D [b, b] of their embeddings [b, columns]:
//   distances  D_ij = Σ (e_i − e_j)²; one invocation: one pair
//   distance   loss = 1/b² Σ_ij h(d_s/μ_s − d_t/μ_t), d = √max(D, ε) off the diagonal, μ the mean of those above 1e-5,
//              h(x) = x²/2 where |x| < 1, else |x| − ½; one workgroup of 256
//   angle      loss = 1/b³ Σ_ijk h(cos_s − cos_t) with the angles at i, by the law of cosines
//              cos_ijk = (D_ij + D_ik − D_jk) / (2 √D_ij √D_ik), 0 where one of the two vanishes; one invocation: one pair (i, j)
//   spread     de_i (+)= Σ_j 2 (g_ij + g_ji) (e_i − e_j), g the gradient of D; one invocation: one value
//
// row_loss receives weight · the loss: one value from `distance`, b² from `angle`; `grad` [b, b] the gradient of the student's D.
// From differences rather than products: those cancel where samples lie close together.

#import shared/index
#import shared/finite

struct Params { batch: u32, columns: u32, accumulate: u32, weight: f32 }

@group(0) @binding(0) var<uniform> p: Params;

// Squares below it count as it, as in the reference.
const LEAST = 1e-12;

@group(0) @binding(1) var<storage, read> e: array<f32>;
@group(0) @binding(2) var<storage, read_write> squares: array<f32>;

@compute @workgroup_size(64)
fn distances(
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let id = folded_index(wid, groups, lane, 64u);
    if id >= p.batch * p.batch {
        return;
    }
    let i = id / p.batch * p.columns;
    let j = id % p.batch * p.columns;
    var sum = 0.0;
    for (var c = 0u; c < p.columns; c++) {
        let d = e[i + c] - e[j + c];
        sum = fma(d, d, sum);
    }
    squares[id] = sum;
}

@group(0) @binding(1) var<storage, read> s: array<f32>;
@group(0) @binding(2) var<storage, read> t: array<f32>;
@group(0) @binding(3) var<storage, read_write> row_loss: array<f32>;
@group(0) @binding(4) var<storage, read_write> grad: array<f32>;

// Smooth L1 and its derivative.
fn smooth_l1(x: f32) -> vec2<f32> {
    let size = abs(x);
    return select(vec2<f32>(size - 0.5, sign(x)), vec2<f32>(0.5 * x * x, x), size < 1.0);
}

var<workgroup> tree: array<vec4<f32>, 256>;

fn fold(lane: u32, value: vec4<f32>) -> vec4<f32> {
    tree[lane] = value;
    workgroupBarrier();
    for (var half = 128u; half > 0u; half /= 2u) {
        if lane < half {
            tree[lane] += tree[lane + half];
        }
        workgroupBarrier();
    }
    let all = tree[0];
    workgroupBarrier();
    return all;
}

// Student's and teacher's distance of a pair.
fn pair(i: u32) -> vec2<f32> {
    let apart = i / p.batch != i % p.batch;
    return select(vec2<f32>(0.0), sqrt(max(vec2<f32>(s[i], t[i]), vec2<f32>(LEAST))), apart);
}

@compute @workgroup_size(256)
fn distance_loss(@builtin(local_invocation_index) lane: u32) {
    let pairs = p.batch * p.batch;
    var sums = vec4<f32>(0.0);
    for (var i = lane; i < pairs; i += 256u) {
        let d = pair(i);
        let counts = select(vec2<f32>(0.0), vec2<f32>(1.0), d > vec2<f32>(1e-5));
        sums += vec4<f32>(d * counts, counts);
    }
    sums = fold(lane, sums);
    // Where all samples are one there is nothing to compare.
    let mean = max(sums.xy / max(sums.zw, vec2<f32>(1.0)), vec2<f32>(1e-20));
    // The loss, and Σ h' d.
    var parts = vec4<f32>(0.0);
    var most = 0u;
    for (var i = lane; i < pairs; i += 256u) {
        most = max(most, max(magnitude(s[i]), magnitude(t[i])));
        let d = pair(i) / mean;
        let h = smooth_l1(d.x - d.y);
        parts += vec4<f32>(h.x, h.y * d.x, 0.0, 0.0);
    }
    parts.x = told(parts.x, most);
    parts = fold(lane, parts);
    let unit = p.weight / f32(pairs);
    if lane == 0u {
        row_loss[0] = unit * parts.x;
    }
    for (var i = lane; i < pairs; i += 256u) {
        let d = pair(i);
        let counts = d.x > 1e-5;
        let h = smooth_l1(d.x / mean.x - d.y / mean.y);
        // By the distance itself, and through the mean of all.
        let by_distance = unit * (h.y - select(0.0, parts.y / max(sums.z, 1.0), counts)) / mean.x;
        // Below the least the square is a constant.
        let live = s[i] > LEAST && i / p.batch != i % p.batch;
        grad[i] = select(0.0, by_distance / (2.0 * max(d.x, 1e-20)), live);
    }
}

// The cosine at i between j and k of one of the two, from its three squares.
fn cosine(ij: f32, ik: f32, jk: f32) -> f32 {
    let both = sqrt(ij) * sqrt(ik);
    return select(0.0, 0.5 * (ij + ik - jk) / max(both, 1e-30), both > 0.0);
}

@compute @workgroup_size(64)
fn angle_loss(
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let id = folded_index(wid, groups, lane, 64u);
    if id >= p.batch * p.batch {
        return;
    }
    let i = id / p.batch;
    let j = id % p.batch;
    let unit = p.weight / (f32(p.batch) * f32(p.batch) * f32(p.batch));
    let root = sqrt(s[id]);
    var loss = 0.0;
    var g = 0.0;
    for (var k = 0u; k < p.batch; k++) {
        // The angle at i between j and k.
        let ik = i * p.batch + k;
        let jk = j * p.batch + k;
        let cos = cosine(s[id], s[ik], s[jk]);
        let h = smooth_l1(cos - cosine(t[id], t[ik], t[jk]));
        loss += h.x;
        // D_ij stands in it as one leg, and the triple (i, k, j) has it as the other: twice.
        if s[id] > 0.0 && s[ik] > 0.0 {
            g += h.y * (1.0 / (root * sqrt(s[ik])) - cos / s[id]);
        }
        // The angle at k between i and j, of which D_ij is the far side.
        let ki = k * p.batch + i;
        let kj = k * p.batch + j;
        if s[ki] > 0.0 && s[kj] > 0.0 {
            let far = smooth_l1(cosine(s[ki], s[kj], s[id]) - cosine(t[ki], t[kj], t[id]));
            g -= far.y * 0.5 / (sqrt(s[ki]) * sqrt(s[kj]));
        }
    }
    // What is no number in another pair is told of by the invocation of that one.
    row_loss[id] = told(unit * loss, max(magnitude(s[id]), magnitude(t[id])));
    grad[id] = select(0.0, unit * g, i != j);
}

@group(0) @binding(2) var<storage, read> slope: array<f32>;
@group(0) @binding(3) var<storage, read_write> de: array<f32>;

@compute @workgroup_size(64)
fn spread(
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let id = folded_index(wid, groups, lane, 64u);
    if id >= p.batch * p.columns {
        return;
    }
    let i = id / p.columns;
    let c = id % p.columns;
    var sum = 0.0;
    for (var j = 0u; j < p.batch; j++) {
        let both = slope[i * p.batch + j] + slope[j * p.batch + i];
        sum = fma(2.0 * both, e[id] - e[j * p.columns + c], sum);
    }
    if p.accumulate != 0u {
        sum += de[id];
    }
    de[id] = sum;
}
