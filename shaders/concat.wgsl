// Rows of several tensors one after the other, image by image.
//   concat       part [n, rows, c] into rows `offset` … of whole [n, total, c]; one invocation: one value
//   concat_grad  the other way, added to what is there where `accumulate` ≠ 0
//
// Memory: reads and writes each value of the part once.

#import shared/index

struct Params { count: u32, row: u32, whole: u32, offset: u32, accumulate: u32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> part: array<f32>;
@group(0) @binding(2) var<storage, read_write> whole: array<f32>;

// `row` and `whole` are the values of one image in the part and in the whole, `offset` is in values.
fn place(i: u32) -> u32 {
    return i / p.row * p.whole + p.offset + i % p.row;
}

@compute @workgroup_size(64)
fn concat(
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = folded_index(wid, groups, lane, 64u);
    if i < p.count {
        whole[place(i)] = part[i];
    }
}

@group(0) @binding(1) var<storage, read> gradient: array<f32>;
@group(0) @binding(2) var<storage, read_write> dpart: array<f32>;

@compute @workgroup_size(64)
fn concat_grad(
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = folded_index(wid, groups, lane, 64u);
    if i < p.count {
        var g = gradient[place(i)];
        if p.accumulate != 0u {
            g += dpart[i];
        }
        dpart[i] = g;
    }
}
