// Products of the tasks' gradients, and their weighted sum.
//
//   products  part[b, e, p] = Σ over the p-th share of J[i]·J[j]; one invocation: one share of all pairs of a block of
//             TILE x TILE tasks (blocks on and above the diagonal alone), strided so that neighbours read neighbours
//   finish    G[i, j] (+)= Σ_p part; one workgroup: one pair, strided sums and a tree
//   combine   out (+)= Σ_k w[first + k] J[k]; one invocation: four values
//
// J [tasks, 4·stride] in vec4, rows padded with zeros; G [tasks, tasks]. The order of every sum is fixed.
// Memory: products reads each row once for each block it stands in (once or twice for up to 4 tasks); combine reads J once.

#define WIDE 1
#import shared/rows
#define TILE 2

// A row begins `stride` quads after the one before it.
struct Params { tasks: u32, stride: u32, quads: u32, parts: u32, first: u32, accumulate: u32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> rows: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> part: array<f32>;

@compute @workgroup_size(64)
fn products(
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let id = folded_index(wid, groups, lane, 64u);
    let block = id / p.parts;
    let share = id % p.parts;
    let across = (p.tasks + ${TILE - 1}u) / ${TILE}u;
    // The block's place in the upper triangle, row by row.
    var bi = 0u;
    var bj = block;
    while bi < across && bj >= across - bi {
        bj -= across - bi;
        bi++;
    }
    if bi >= across {
        return;
    }
    bj += bi;
    // Tasks beyond the last are read as the last; nobody asks for their products.
#for i in 0..TILE
    let a${i} = min(bi * ${TILE}u + ${i}u, p.tasks - 1u) * p.stride;
    let b${i} = min(bj * ${TILE}u + ${i}u, p.tasks - 1u) * p.stride;
#endfor
#for i in 0..TILE
#for j in 0..TILE
    var s${i}_${j} = vec4<f32>(0.0);
#endfor
#endfor
    for (var q = share; q < p.quads; q += p.parts) {
#for i in 0..TILE
        let x${i} = rows[a${i} + q];
        let y${i} = rows[b${i} + q];
#endfor
#for i in 0..TILE
#for j in 0..TILE
        s${i}_${j} = fma(x${i}, y${j}, s${i}_${j});
#endfor
#endfor
    }
    let at = block * ${TILE * TILE}u;
#for i in 0..TILE
#for j in 0..TILE
    part[(at + ${i * TILE + j}u) * p.parts + share] = dot(s${i}_${j}, vec4<f32>(1.0));
#endfor
#endfor
}

@group(0) @binding(1) var<storage, read> parts: array<f32>;
@group(0) @binding(2) var<storage, read_write> gram: array<f32>;

@compute @workgroup_size(64)
fn finish(
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = my_row(wid, groups, lane, p.tasks * p.tasks);
    let one = row.index / p.tasks;
    let other = row.index % p.tasks;
    // The lower triangle is read from the upper.
    let i = min(one, other);
    let j = max(one, other);
    let across = (p.tasks + ${TILE - 1}u) / ${TILE}u;
    let bi = i / ${TILE}u;
    let block = bi * across - bi * (bi + 1u) / 2u + j / ${TILE}u;
    let at = (block * ${TILE * TILE}u + i % ${TILE}u * ${TILE}u + j % ${TILE}u) * p.parts;
    var sum = 0.0;
    for (var k = lane; k < p.parts; k += 64u) {
        sum += parts[at + k];
    }
    sum = row_sum(sum, lane);
    if row.writes {
        if p.accumulate != 0u {
            sum += gram[row.index];
        }
        gram[row.index] = sum;
    }
}

@group(0) @binding(2) var<storage, read> weights: array<f32>;
@group(0) @binding(3) var<storage, read_write> sum: array<vec4<f32>>;

@compute @workgroup_size(64)
fn combine(
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let q = folded_index(wid, groups, lane, 64u);
    if q >= p.quads {
        return;
    }
    var total = vec4<f32>(0.0);
    if p.accumulate != 0u {
        total = sum[q];
    }
    for (var k = 0u; k < p.tasks; k++) {
        total = fma(vec4<f32>(weights[p.first + k]), rows[k * p.stride + q], total);
    }
    sum[q] = total;
}
