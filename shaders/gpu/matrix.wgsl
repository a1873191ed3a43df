// Whether cooperative matrices compute what they should: the self-test of a device that is opened with them.
//
//   c = x · w + y · wᵀ,   x, y and w each of EDGE x EDGE values in f16, sums in f32
//
// One workgroup of four subgroups, each of which computes one product of its own: subgroup s takes the operands of number s.
// Subgroups beyond the fourth, where LANES is more than a subgroup has, repeat the work of one of the four.
// The operands come from workgroup memory, once with rows and once with columns side by side, and the result goes there, as
// in all kernels with matrices. Both loads of w must be right: they differ only in which index runs first.
//
// Memory: 12 · EDGE² values read and 4 · EDGE² written.

#define EDGE 16
#define LANES 32

enable f16;
enable wgpu_cooperative_matrix;

#define AREA EDGE * EDGE
#define WIDTH 4 * LANES

// For each subgroup x, y and w.
@group(0) @binding(0) var<storage, read> operands: array<f32>;
@group(0) @binding(1) var<storage, read_write> out: array<f32>;

var<workgroup> tile: array<f16, ${12 * AREA}>;
var<workgroup> sums: array<f32, ${4 * AREA}>;

@compute @workgroup_size(${WIDTH})
fn matrix_check(@builtin(local_invocation_index) lane: u32, @builtin(subgroup_id) subgroup: u32) {
    for (var i = lane; i < ${12 * AREA}u; i += ${WIDTH}u) {
        tile[i] = f16(operands[i]);
    }
    workgroupBarrier();
    let own = subgroup % 4u;
    let at = own * ${3 * AREA}u;
    var c = coop_mat${EDGE}x${EDGE}<f32, C>();
    let x = coopLoadT<coop_mat${EDGE}x${EDGE}<f16, A>>(&tile[at], ${EDGE}u);
    let y = coopLoadT<coop_mat${EDGE}x${EDGE}<f16, A>>(&tile[at + ${AREA}u], ${EDGE}u);
    let w = coopLoadT<coop_mat${EDGE}x${EDGE}<f16, B>>(&tile[at + ${2 * AREA}u], ${EDGE}u);
    let turned = coopLoad<coop_mat${EDGE}x${EDGE}<f16, B>>(&tile[at + ${2 * AREA}u], ${EDGE}u);
    c = coopMultiplyAdd(x, w, c);
    c = coopMultiplyAdd(y, turned, c);
    coopStoreT(c, &sums[own * ${AREA}u], ${EDGE}u);
    workgroupBarrier();
    for (var i = lane; i < ${4 * AREA}u; i += ${WIDTH}u) {
        out[i] = sums[i];
    }
}
