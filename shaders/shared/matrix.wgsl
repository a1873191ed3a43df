// The workgroup memory of a product C = A · B on cooperative matrices: BK terms of BM rows and of BN columns at a time, in f16.
//
// An operand whose terms lie side by side in memory (A_TERMS, B_TERMS = 1) is kept a line for each row of A or column of B;
// else a line for each term. Lines are 8 values longer than they need be: lanes in neighbouring lines meet different banks,
// and every line begins at a multiple of 16 bytes, as loads of matrices want it.
//
// DOWN x ACROSS subgroups own FM x FN matrices of EDGE x EDGE sums each, in f32. A workgroup has LANES invocations for each
// of them, as many as the largest subgroup: where subgroups turn out smaller there are more of them, and those beyond the
// last repeat the work of one, with the same results.
//
// Sums leave through `sums`, one matrix of each subgroup at a time, since only there an invocation can address them.

enable f16;
enable wgpu_cooperative_matrix;

#define SUBGROUPS DOWN * ACROSS
#define WIDTH SUBGROUPS * LANES
#define FM BM / (DOWN * EDGE)
#define FN BN / (ACROSS * EDGE)
#define AREA EDGE * EDGE
#if A_TERMS
#define PITCH_A BK + 8
#define B_START BM * PITCH_A
#else
#define PITCH_A BM + 8
#define B_START BK * PITCH_A
#endif
#if B_TERMS
#define PITCH_B BK + 8
#define TILE_SIZE B_START + BN * PITCH_B
#else
#define PITCH_B BN + 8
#define TILE_SIZE B_START + BK * PITCH_B
#endif

alias MatrixA = coop_mat${EDGE}x${EDGE}<f16, A>;
alias MatrixB = coop_mat${EDGE}x${EDGE}<f16, B>;
alias Sums = coop_mat${EDGE}x${EDGE}<f32, C>;

var<workgroup> tile: array<f16, ${TILE_SIZE}>;
var<workgroup> sums: array<f32, ${SUBGROUPS * AREA}>;

// Rounds four values that lie side by side into the tile; zeros where there are none.
fn keep(at: u32, v: vec4<f32>, live: bool) {
    let rounded = vec4<f16>(select(vec4<f32>(0.0), v, live));
    tile[at] = rounded.x;
    tile[at + 1u] = rounded.y;
    tile[at + 2u] = rounded.z;
    tile[at + 3u] = rounded.w;
}
