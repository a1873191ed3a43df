// Soft Dice loss over classes, each class's sums taken over all labelled rows of the batch:
//   D_j = (2 Σ p_ij g_ij + s) / (Σ p_ij + Σ g_ij + s),  p = softmax(z), g_ij = [y_i = j];
//   loss = Σ_j a_j (1 − D_j),  a_j = w_j / Σ w over the classes that occur among the labels, 0 for the others.
// With E_j = Σ |p_ij − g_ij| and U_j = Σ p_ij + Σ g_ij + s this is 1 − D_j = E_j / U_j: no part is negative, so nothing cancels. Its
// slope is q_ij = d loss / d p_ij = a_j (D_j − 2 g_ij) / U_j, and dz_ij = weight · p_ij (q_ij − Σ_k p_ik q_ik).
//
//   dice_normals  normals[i] = [top, 1 / Σ exp(z − top), 1 − p of the label]; a row is one invocation's (WIDE = 0) or one workgroup's
//   dice_partial  parts[k, j] = [Σ |p − g|, Σ p + g, Σ g] over chunk k; one invocation: one class × one chunk of rows
//   dice_finish   sums[j] = Σ_k parts[k, j]; one workgroup: one class
//   dice_shares   shares[j] = weight · a_j (1 − D_j), whose sum is the loss, and slopes[j] = [D_j, −2] · weight · a_j / U_j; one workgroup
//   dice_grad     dz; rows as in dice_normals
//
// z, dz [rows, columns]; labels [rows], a label of `columns` or more marks a row without one: it is in no sum and has no gradient;
// class_weights, shares [columns]. Every sum has a fixed order. Memory: reads z six times, twice of them for dz, writes dz once.

#import shared/rows
#import shared/finite

struct Params { rows: u32, columns: u32, chunk: u32, chunks: u32, accumulate: u32, smoothing: f32, weight: f32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> z: array<f32>;
@group(0) @binding(2) var<storage, read> labels: array<u32>;
@group(0) @binding(3) var<storage, read_write> normals_out: array<f32>;

@compute @workgroup_size(64)
fn dice_normals(
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = my_row(wid, groups, lane, p.rows);
    let at = row.index * p.columns;
    var top = LOWEST;
    for (var j = row.first; j < p.columns; j += STEP) {
        top = max(top, z[at + j]);
    }
    top = row_max(top, lane);
    let label = labels[row.index];
    // Of all classes, and of all but the label: 1 − p loses nothing where p is close to 1.
    var sums = vec2<f32>(0.0);
    var most = 0u;
    for (var j = row.first; j < p.columns; j += STEP) {
        let e = exp(z[at + j] - top);
        most = max(most, magnitude(z[at + j]));
        sums += vec2<f32>(e, select(e, 0.0, j == label));
    }
    sums.x = told(sums.x, most);
    sums = row_sum2(sums, lane);
    if row.writes {
        normals_out[3u * row.index] = top;
        normals_out[3u * row.index + 1u] = told(1.0 / sums.x, magnitude(sums.x));
        normals_out[3u * row.index + 2u] = told(sums.y / sums.x, magnitude(sums.x));
    }
}

@group(0) @binding(3) var<storage, read> normals: array<f32>;
@group(0) @binding(4) var<storage, read_write> parts_out: array<f32>;

@compute @workgroup_size(64)
fn dice_partial(
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let id = folded_index(wid, groups, lane, 64u);
    let j = id % p.columns;
    let k = id / p.columns;
    if k >= p.chunks {
        return;
    }
    var sums = vec3<f32>(0.0);
    let last = min((k + 1u) * p.chunk, p.rows);
    for (var i = k * p.chunk; i < last; i++) {
        let label = labels[i];
        if label < p.columns {
            let hit = label == j;
            let v = exp(z[i * p.columns + j] - normals[3u * i]) * normals[3u * i + 1u];
            let g = select(0.0, 1.0, hit);
            sums += vec3<f32>(select(v, normals[3u * i + 2u], hit), v + g, g);
        }
    }
    parts_out[3u * id] = sums.x;
    parts_out[3u * id + 1u] = sums.y;
    parts_out[3u * id + 2u] = sums.z;
}

@group(0) @binding(1) var<storage, read> parts: array<f32>;
@group(0) @binding(2) var<storage, read_write> sums_out: array<f32>;

@compute @workgroup_size(64)
fn dice_finish(
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let group = folded_group(wid, groups);
    let j = min(group, p.columns - 1u);
    var mine = vec3<f32>(0.0);
    for (var k = lane; k < p.chunks; k += 64u) {
        let at = 3u * (k * p.columns + j);
        mine += vec3<f32>(parts[at], parts[at + 1u], parts[at + 2u]);
    }
    let both = group_sum2(mine.xy, lane);
    let count = group_sum2(vec2<f32>(mine.z, 0.0), lane).x;
    if lane == 0u && group < p.columns {
        sums_out[3u * j] = both.x;
        sums_out[3u * j + 1u] = both.y;
        sums_out[3u * j + 2u] = count;
    }
}

@group(0) @binding(1) var<storage, read> sums: array<f32>;
@group(0) @binding(2) var<storage, read> class_weights: array<f32>;
@group(0) @binding(3) var<storage, read_write> shares: array<f32>;
@group(0) @binding(4) var<storage, read_write> slopes_out: array<f32>;

// How much class j counts: nothing where no label is of it.
fn counts(j: u32) -> f32 {
    return select(0.0, class_weights[j], sums[3u * j + 2u] > 0.0);
}

@compute @workgroup_size(64)
fn dice_shares(@builtin(local_invocation_index) lane: u32) {
    var mine = 0.0;
    for (var j = lane; j < p.columns; j += 64u) {
        mine += counts(j);
    }
    let total = group_sum2(vec2<f32>(mine, 0.0), lane).x;
    for (var j = lane; j < p.columns; j += 64u) {
        // A class that occurs has a pixel, so that its denominator is at least 1.
        let denominator = max(sums[3u * j + 1u] + p.smoothing, 1e-6);
        let missed = sums[3u * j] / denominator;
        let a = select(0.0, p.weight * counts(j) / total, counts(j) > 0.0);
        shares[j] = a * missed;
        slopes_out[2u * j] = a / denominator * (1.0 - missed);
        slopes_out[2u * j + 1u] = -2.0 * a / denominator;
    }
}

@group(0) @binding(4) var<storage, read> slopes: array<f32>;
@group(0) @binding(5) var<storage, read_write> dz: array<f32>;

@compute @workgroup_size(64)
fn dice_grad(
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = my_row(wid, groups, lane, p.rows);
    let at = row.index * p.columns;
    let label = labels[row.index];
    let y = min(label, p.columns - 1u);
    let top = normals[3u * row.index];
    let inverse = normals[3u * row.index + 1u];
    let rest = normals[3u * row.index + 2u];
    // Σ p q without the label's part, which is kept apart so that q_y − p_y q_y is (1 − p_y) q_y.
    var others = 0.0;
    for (var j = row.first; j < p.columns; j += STEP) {
        others += select(exp(z[at + j] - top) * inverse * slopes[2u * j], 0.0, j == label);
    }
    others = row_sum(others, lane);
    let own_slope = slopes[2u * y] + slopes[2u * y + 1u];
    let own = exp(z[at + y] - top) * inverse;
    if row.live {
        for (var j = row.first; j < p.columns; j += STEP) {
            let v = exp(z[at + j] - top) * inverse;
            var g = v * select(slopes[2u * j] - own * own_slope - others, rest * own_slope - others, j == label);
            g = select(0.0, g, label < p.columns);
            if p.accumulate != 0u {
                g += dz[at + j];
            }
            dz[at + j] = g;
        }
    }
}
