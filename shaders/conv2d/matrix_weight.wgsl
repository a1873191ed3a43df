// The convolution's gradient with respect to its weight as implicit GEMM on cooperative matrices, with operands rounded to f16
// and sums in f32.
//
//   dw[oc, kh, kw, ic] (+)= Σ_{n, oh, ow} x[n, oh·s − p + kh·d, ow·s − p + kw·d, ic] · dy[n, oh, ow, oc]
//
// C = A · B: the rows are (kh, kw, ic), gathered from x, the columns oc, and the terms all output pixels, cut into tiles and
// parts as in tiled_weight.wgsl; z counts the parts. A workgroup computes BM rows x BN channels; see shared/matrix for who
// owns what. Both operands are kept a line for each term. Channels of either tensor come in groups of a multiple of 4, so all
// loads and stores are vec4. Two barriers a tile, and two for each matrix of results; the next tile is on its way into
// registers while this one is multiplied.
//
// Memory as in matrix.wgsl.

#define A_TERMS 0
#define B_TERMS 0

#import shared/matrix
#import shared/index

// Lines of A, and of B, that the lanes fetch at a time, and how often.
#define A_STEP WIDTH / (BM / 4)
#define A_LOADS (BK + A_STEP - 1) / A_STEP
#define B_STEP WIDTH / (BN / 4)
#define B_LOADS (BK + B_STEP - 1) / B_STEP

struct Params {
    h: u32, w: u32, ci: u32, oh: u32, ow: u32, co: u32, kh: u32, kw: u32,
    stride: u32, padding: u32, dilation: u32, ci_group: u32, co_group: u32,
    // The terms; the rows; column tiles in all and of a group of channels; tiles of terms a part.
    depth: u32, rows: u32, tiles: u32, tiles_group: u32, chunk: u32, size: u32, accumulate: u32,
    // BK pixels as a place.
    step_x: u32, step_y: u32, step_n: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> dy: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> out: array<vec4<f32>>;

#define GRAD 0
#import shared/places

@compute @workgroup_size(${WIDTH})
fn matrix_weight(
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
    @builtin(subgroup_id) subgroup: u32,
) {
    let group = folded_group(wid, groups);
    let block = (group % p.tiles) / p.tiles_group;
    let left = ((group % p.tiles) % p.tiles_group) * ${BN}u;
    let top = (group / p.tiles) * ${BM}u;
    let first = wid.z * p.chunk;
    let last = max(min(first + p.chunk, (p.depth + ${BK - 1}u) / ${BK}u), first);

    // What this lane fetches: of A the vec4 of rows `ra` of the terms ka + i · A_STEP, of B the vec4 of columns `nb` of the
    // terms kb + i · B_STEP. Rows and columns beyond the last repeat earlier ones: their sums are not stored.
    let ra = lane % ${BM / 4}u;
    let ka = lane / ${BM / 4}u;
    let nb = lane % ${BN / 4}u;
    let kb = lane / ${BN / 4}u;
    let m = min(top + 4u * ra, p.rows - 4u);
    let tap = m / p.ci_group;
    let ic = block * p.ci_group + m % p.ci_group;
    let dh = i32((tap / p.kw) * p.dilation) - i32(p.padding);
    let dw = i32((tap % p.kw) * p.dilation) - i32(p.padding);
    let oc = block * p.co_group + min(left + 4u * nb, p.co_group - 4u);

    var k = first * ${BK}u;
    let step = vec3<u32>(p.step_x, p.step_y, p.step_n);
#for i in 0..A_LOADS
    let k${i} = k + ka + ${i * A_STEP}u;
    var place${i} = vec3<u32>(k${i} % p.ow, (k${i} / p.ow) % p.oh, (k${i} / p.ow) / p.oh);
#endfor

    let own = subgroup % ${SUBGROUPS}u;
    let down = (own / ${ACROSS}u) * ${FM * EDGE}u;
    let across = (own % ${ACROSS}u) * ${FN * EDGE}u;
#for i in 0..FM
#for j in 0..FN
    var c${i}_${j} = Sums();
#endfor
#endfor

    // Once before the loop and then in it: fetches the next tile, adds the one before, stores. The tile after the last one is
    // fetched in vain, so that no branch lies between the loads and their use.
#for stage in 0..2
#if stage == 0
    {
#else
    for (var t = first; t < last; t++) {
#endif
#for i in 0..A_LOADS
        let ih${i} = u32(i32(place${i}.y * p.stride) + dh);
        let iw${i} = u32(i32(place${i}.x * p.stride) + dw);
        let in${i} = k + ka + ${i * A_STEP}u < p.depth && ih${i} < p.h && iw${i} < p.w;
        let at${i} = ((place${i}.z * p.h + ih${i}) * p.w + iw${i}) * p.ci + ic;
        let f${i} = x[select(0u, at${i} / 4u, in${i})];
        place${i} = onward(place${i}, step, p.ow, p.oh);
#endfor
#for i in 0..B_LOADS
        let live${i} = k + kb + ${i * B_STEP}u < p.depth;
        let g${i} = dy[(select(0u, (k + kb + ${i * B_STEP}u) * p.co, live${i}) + oc) / 4u];
#endfor
        k += ${BK}u;
#if stage == 1
#import shared/matrix_step
        workgroupBarrier();
#endif
#for i in 0..A_LOADS
        if ka + ${i * A_STEP}u < ${BK}u {
            keep((ka + ${i * A_STEP}u) * ${PITCH_A}u + 4u * ra, f${i}, in${i});
        }
#endfor
#for i in 0..B_LOADS
        if kb + ${i * B_STEP}u < ${BK}u {
            keep(${B_START}u + (kb + ${i * B_STEP}u) * ${PITCH_B}u + 4u * nb, g${i}, live${i});
        }
#endfor
        workgroupBarrier();
    }
#endfor

    // Column by column: the rows of a column lie side by side in dw.
#for i in 0..FM
#for j in 0..FN
    coopStore(c${i}_${j}, &sums[own * ${AREA}u], ${EDGE}u);
    workgroupBarrier();
    for (var q = lane; q < ${SUBGROUPS * AREA / 4}u; q += ${WIDTH}u) {
        let who = q / ${AREA / 4}u;
        let line = (q % ${AREA / 4}u) / ${EDGE / 4}u;
        let o = top + (who / ${ACROSS}u) * ${FM * EDGE}u + ${i * EDGE}u + 4u * (q % ${EDGE / 4}u);
        let col = left + (who % ${ACROSS}u) * ${FN * EDGE}u + ${j * EDGE}u + line;
        if o < p.rows && col < p.co_group {
            let to = (wid.z * p.size + (block * p.co_group + col) * p.rows + o) / 4u;
            var v = vec4<f32>(sums[4u * q], sums[4u * q + 1u], sums[4u * q + 2u], sums[4u * q + 3u]);
            if p.accumulate != 0u {
                v += out[to];
            }
            out[to] = v;
        }
    }
    workgroupBarrier();
#endfor
#endfor
}
