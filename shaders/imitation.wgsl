// Imitation of a teacher's features where objects are (Wang et al. 2019, arXiv 1906.03609; the mask of whole boxes as in Yang et al.
// 2022, arXiv 2111.11837).
//
// Places of a map [images, height, width]; place (i, j) is the cell [i, i + 1) step_y x [j, j + 1) step_x of the image, in pixels.
//   imitation_mask  one invocation: one place. 1 where a labelled box touches the cell, so that an object smaller than a cell is not
//                   lost; else, where nobody has looked at the image or within what is not judged, a teacher's foreground at the
//                   cell's middle, the largest over the levels of its detector; else 0.
//   mask_total      one workgroup: total[0] = Σ mask
//   imitation       mask/(2 max(Σ mask, 1)) · Σ over the channels of (s − t)²; a row (place) is one invocation's (WIDE = 0) or one
//                   workgroup's (WIDE = 1); row_loss [rows] receives weight · its share, ds (GRAD = 1) weight · the gradient
//
// s, t, ds [rows, columns]; mask [rows]; objects [images, boxes, 6] and targets [images · places, 6] as in fcos.wgsl, of which the last
// value of a target is the foreground. Memory: s and t are read once, with a gradient by the same invocation.

#import shared/index
#import shared/rows

struct Mask {
    images: u32, height: u32, width: u32, boxes: u32, places: u32, levels: u32,
    start1: u32, start2: u32, start3: u32, start4: u32,
    height0: u32, height1: u32, height2: u32, height3: u32, height4: u32,
    width0: u32, width1: u32, width2: u32, width3: u32, width4: u32,
    stride0: f32, stride1: f32, stride2: f32, stride3: f32, stride4: f32,
    step_y: f32, step_x: f32,
}

@group(0) @binding(0) var<uniform> m: Mask;
@group(0) @binding(1) var<storage, read> objects: array<f32>;
@group(0) @binding(2) var<storage, read> targets: array<f32>;
@group(0) @binding(3) var<storage, read_write> made: array<f32>;

// The foreground of the place of a level that holds point (x, y).
fn foreground(first: u32, height: u32, width: u32, stride: f32, y: f32, x: f32) -> f32 {
    let i = min(u32(y / stride), height - 1u);
    let j = min(u32(x / stride), width - 1u);
    return targets[6u * (first + i * width + j) + 5u];
}

@compute @workgroup_size(64)
fn imitation_mask(
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let id = folded_index(wid, groups, lane, 64u);
    if id >= m.images * m.height * m.width {
        return;
    }
    let image = id / (m.height * m.width);
    let i = f32(id / m.width % m.height);
    let j = f32(id % m.width);
    var found = false;
    var judged = true;
    for (var k = 0u; k < m.boxes; k++) {
        let at = (image * m.boxes + k) * 6u;
        let what = objects[at + 5u];
        let across = objects[at] < (j + 1.0) * m.step_x && objects[at + 2u] > j * m.step_x;
        let along = objects[at + 1u] < (i + 1.0) * m.step_y && objects[at + 3u] > i * m.step_y;
        found = found || (what == 1.0 && across && along);
        judged = judged && !(what == 3.0 || (what == 2.0 && across && along));
    }
    let y = (i + 0.5) * m.step_y;
    let x = (j + 0.5) * m.step_x;
    let first = image * m.places;
    var most = foreground(first, m.height0, m.width0, m.stride0, y, x);
#for k in 1..5
    if m.levels > ${k}u {
        most = max(most, foreground(first + m.start${k}, m.height${k}, m.width${k}, m.stride${k}, y, x));
    }
#endfor
    made[id] = select(select(most, 0.0, judged), 1.0, found);
}

struct Params { rows: u32, columns: u32, accumulate: u32, weight: f32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> mask: array<f32>;
@group(0) @binding(2) var<storage, read_write> sum: array<f32>;

@compute @workgroup_size(64)
fn mask_total(@builtin(local_invocation_index) lane: u32) {
    var mine = 0.0;
    for (var i = lane; i < p.rows; i += 64u) {
        mine += mask[i];
    }
    let all = group_sum2(vec2<f32>(mine, 0.0), lane);
    if lane == 0u {
        sum[0] = all.x;
    }
}

@group(0) @binding(2) var<storage, read> total: array<f32>;
@group(0) @binding(3) var<storage, read> s: array<f32>;
@group(0) @binding(4) var<storage, read> t: array<f32>;
@group(0) @binding(5) var<storage, read_write> row_loss: array<f32>;
#if GRAD
@group(0) @binding(6) var<storage, read_write> ds: array<f32>;
#endif

@compute @workgroup_size(64)
fn imitation(
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = my_row(wid, groups, lane, p.rows);
    let at = row.index * p.columns;
    let unit = p.weight * mask[row.index] / max(total[0], 1.0);
    var loss = 0.0;
    for (var j = row.first; j < p.columns; j += STEP) {
        let d = s[at + j] - t[at + j];
        loss = fma(d, d, loss);
#if GRAD
        if row.live {
            var g = unit * d;
            if p.accumulate != 0u {
                g += ds[at + j];
            }
            ds[at + j] = g;
        }
#endif
    }
    loss = row_sum(loss, lane);
    if row.writes {
        row_loss[row.index] = 0.5 * unit * loss;
    }
}
