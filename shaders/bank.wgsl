// A bank of the last rows seen, a ring: row i of a batch takes the place (cursor + i) mod K of K. Of a batch larger than the bank the
// last K rows are kept.
//   put    one invocation: one value of one row
//   close  the rows' classes, and the cursor onwards; one workgroup of 64
//
// x [n, depth]; bank [places, depth]; labels [n]; classes [places], −1 for none; cursor [1], a whole number. Memory: each value once.

#import shared/index

struct Params { n: u32, places: u32, depth: u32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
// Only read, but it may lie in the same buffer as the bank, which a dispatch sees in one way.
@group(0) @binding(2) var<storage, read_write> cursor: array<f32>;
@group(0) @binding(3) var<storage, read_write> bank: array<f32>;

@compute @workgroup_size(64)
fn put(
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let id = folded_index(wid, groups, lane, 64u);
    let i = id / p.depth;
    if i >= p.n || i + p.places < p.n {
        return;
    }
    let place = (u32(cursor[0]) + i) % p.places;
    bank[place * p.depth + id % p.depth] = x[id];
}

@group(0) @binding(1) var<storage, read> labels: array<u32>;
@group(0) @binding(2) var<storage, read_write> at: array<f32>;
@group(0) @binding(3) var<storage, read_write> classes: array<f32>;

@compute @workgroup_size(64)
fn close(@builtin(local_invocation_index) lane: u32) {
    let first = u32(at[0]);
    for (var i = lane; i < p.n; i += 64u) {
        if i + p.places >= p.n {
            let label = labels[i];
            // Class numbers are far below 2^24, up to which f32 counts.
            classes[(first + i) % p.places] = select(f32(label), -1.0, label >= 16777216u);
        }
    }
    storageBarrier();
    workgroupBarrier();
    if lane == 0u {
        at[0] = f32((first + p.n) % p.places);
    }
}
