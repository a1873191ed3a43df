// The peak of cooperative matrices: CHAINS independent chains c ← x · w + c in registers, operands in f16, sums in f32.
//
//   out[i] = Σ over chains and the values v = lane, lane + LANES, … of a matrix of c_v after p.rounds · UNROLL steps
//
//   x[r, k] = ((3 r + 5 k) mod 8 − 3) / 8,   w[k, n] = ((7 k + n) mod 8 − 4) / 8,   c from chain in every value
//
// One subgroup of LANES invocations: all its chains; what comes out is the same for all subgroups. A workgroup has four.
// Memory: the operands are made in workgroup memory and loaded once, 4 bytes are written an invocation, so only products
// count: 2 · EDGE³ · CHAINS · UNROLL · p.rounds operations a subgroup. All numbers are small multiples of 1/64, so that the
// sums are exact.

#define EDGE 16
#define LANES 32
#define CHAINS 4
#define UNROLL 16

enable f16;
enable wgpu_cooperative_matrix;

#define AREA EDGE * EDGE
#define WIDTH 4 * LANES

alias Sums = coop_mat${EDGE}x${EDGE}<f32, C>;

struct Params { length: u32, rounds: u32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> out: array<f32>;

#import shared/index

var<workgroup> operands: array<f16, ${2 * AREA}>;
var<workgroup> sums: array<f32, ${4 * AREA}>;

@compute @workgroup_size(${WIDTH})
fn matrix_peak(
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
    @builtin(subgroup_id) subgroup: u32,
) {
    for (var v = lane; v < ${AREA}u; v += ${WIDTH}u) {
        let row = v / ${EDGE}u;
        let column = v % ${EDGE}u;
        operands[v] = f16(f32((3u * row + 5u * column) % 8u) / 8.0 - 0.375);
        operands[${AREA}u + v] = f16(f32((7u * row + column) % 8u) / 8.0 - 0.5);
    }
    let own = (subgroup % 4u) * ${AREA}u;
#for c in 0..CHAINS
    for (var v = lane; v < ${4 * AREA}u; v += ${WIDTH}u) {
        sums[v] = ${c}.0;
    }
    workgroupBarrier();
    var c${c} = coopLoadT<Sums>(&sums[own], ${EDGE}u);
    workgroupBarrier();
#endfor
    let x = coopLoadT<coop_mat${EDGE}x${EDGE}<f16, A>>(&operands[0], ${EDGE}u);
    let w = coopLoadT<coop_mat${EDGE}x${EDGE}<f16, B>>(&operands[${AREA}], ${EDGE}u);
    for (var round = 0u; round < p.rounds; round++) {
#for u in 0..UNROLL
#for c in 0..CHAINS
        c${c} = coopMultiplyAdd(x, w, c${c});
#endfor
#endfor
    }
    // The lanes of the workgroup share out the four matrices of each chain as they lie in memory.
    let first = (lane / ${LANES}u) * ${AREA}u + lane % ${LANES}u;
    var sum = 0.0;
#for c in 0..CHAINS
    coopStoreT(c${c}, &sums[own], ${EDGE}u);
    workgroupBarrier();
    for (var v = 0u; v < ${AREA}u; v += ${LANES}u) {
        sum += sums[first + v];
    }
    workgroupBarrier();
#endfor
    let i = folded_index(wid, groups, lane, ${WIDTH}u);
    if i < p.length {
        out[i] = sum;
    }
}
