// The convolution's gradient with respect to its weight as implicit GEMM through workgroup memory.
//
//   dw[oc, kh, kw, ic] (+)= Σ_{n, oh, ow} x[n, oh·s − p + kh·d, ow·s − p + kw·d, ic] · dy[n, oh, ow, oc]
//
// C = A · B: the rows are (kh, kw, ic), gathered from x, the columns oc, and the terms all output pixels: few tiles and
// a huge sum, so z counts the items of a batch and, above them, the parts of the terms; each part of each item has its own
// `size` values of `out`, and tiled_sum adds the parts in order. The groups of x and y are tiles, column tiles first.
// Rows and columns lie side by side in memory, so both operands are kept a line for each term; neighbouring lanes fetch
// neighbouring channels. See shared/tile for who owns what. A lane carries the places (ow, oh, n) of its pixels from tile
// to tile by additions with carry: no division in the loop. Two barriers a tile; the next tile is on its way into
// registers while this one is multiplied.
// XVEC = 1: CI/G % 4 == 0, x is loaded and dw stored as vec4. YVEC = 1: CO/G % 4 == 0, dy is loaded as vec4.
//
// Memory and registers as in tiled.wgsl.

#define A_TERMS 0
#define B_TERMS 0

#import shared/index
#import shared/tile

// Lines of A, and of B, that the lanes fetch at a time, and how often.
#define A_STEP WIDTH / (BM / 4)
#define A_LOADS BK / A_STEP
#define B_STEP WIDTH / (BN / 4)
#define B_LOADS BK / B_STEP

struct Params {
    h: u32, w: u32, ci: u32, oh: u32, ow: u32, co: u32, kh: u32, kw: u32,
    stride: u32, padding: u32, dilation: u32, ci_group: u32, co_group: u32,
    // The terms; the rows; column tiles in all and of a group of channels; tiles of terms a split.
    depth: u32, rows: u32, tiles: u32, tiles_group: u32, chunk: u32, size: u32, accumulate: u32,
    // BK pixels as a place.
    step_x: u32, step_y: u32, step_n: u32,
    // Items, and the values of one in x.
    batch: u32, source_size: u32,
}

#if XVEC
alias X = vec4<f32>;
#else
alias X = f32;
#endif
#if YVEC
alias Y = vec4<f32>;
#else
alias Y = f32;
#endif

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<X>;
@group(0) @binding(2) var<storage, read> dy: array<Y>;
@group(0) @binding(3) var<storage, read_write> out: array<X>;

// A place (ow, oh, n) moved on; both are within the image, so each carry is at most one.
fn moved(place: vec3<u32>, by: vec3<u32>) -> vec3<u32> {
    var at = place + by;
    if at.x >= p.ow {
        at.x -= p.ow;
        at.y += 1u;
    }
    if at.y >= p.oh {
        at.y -= p.oh;
        at.z += 1u;
    }
    return at;
}

@compute @workgroup_size(${WIDTH})
fn tiled_weight(
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let group = folded_group(wid, groups);
    let block = (group % p.tiles) / p.tiles_group;
    let left = ((group % p.tiles) % p.tiles_group) * ${BN}u;
    let top = (group / p.tiles) * ${BM}u;
    let x0 = (wid.z % p.batch) * p.source_size + block * p.ci_group;
    let dy0 = (wid.z % p.batch) * p.depth * p.co + block * p.co_group;
    let first = (wid.z / p.batch) * p.chunk;
    let last = max(min(first + p.chunk, (p.depth + ${BK - 1}u) / ${BK}u), first);

    // What this lane fetches: of A the vec4 of rows `ra` of the terms ka + i · A_STEP, of B the vec4 of columns `nb` of the
    // terms kb + i · B_STEP. Rows and columns beyond the last repeat earlier ones: their sums are not stored.
    let ra = lane % ${BM / 4}u;
    let ka = lane / ${BM / 4}u;
    let nb = lane % ${BN / 4}u;
    let kb = lane / ${BN / 4}u;
#if XVEC
#define RUNS 1
    let m0 = min(top + 4u * ra, p.rows - 4u);
#else
#define RUNS 4
#for q in 0..4
    let m${q} = min(top + 4u * ra + ${q}u, p.rows - 1u);
#endfor
#endif
#for q in 0..RUNS
    let tap${q} = m${q} / p.ci_group;
    let ic${q} = x0 + m${q} % p.ci_group;
    let dh${q} = i32((tap${q} / p.kw) * p.dilation) - i32(p.padding);
    let dw${q} = i32((tap${q} % p.kw) * p.dilation) - i32(p.padding);
#endfor
#if YVEC
    let oc = dy0 + min(left + 4u * nb, p.co_group - 4u);
#else
#for q in 0..4
    let oc${q} = dy0 + min(left + 4u * nb + ${q}u, p.co_group - 1u);
#endfor
#endif

    var k = first * ${BK}u;
    let step = vec3<u32>(p.step_x, p.step_y, p.step_n);
#for i in 0..A_LOADS
    let k${i} = k + ka + ${i * A_STEP}u;
    var place${i} = vec3<u32>(k${i} % p.ow, (k${i} / p.ow) % p.oh, (k${i} / p.ow) / p.oh);
#endfor

    // Neighbouring lanes own neighbouring rows, which lie side by side in dw.
    let ty = lane % ${LINES}u;
    let tx = lane / ${LINES}u;
#for r in 0..TM
#for j in 0..TN / 4
    var s${r}_${j} = vec4<f32>(0.0);
#endfor
#endfor

    // Once before the loop and then in it: fetches the next tile, adds the one before, stores. No branch lies between the
    // loads and their use, or drivers would wait for them at its end or move them behind the products; for that the tile
    // after the last one is fetched in vain.
#for stage in 0..2
#if stage == 0
    {
#else
    for (var t = first; t < last; t++) {
#endif
#for i in 0..A_LOADS
#for q in 0..RUNS
        let ih${i}_${q} = u32(i32(place${i}.y * p.stride) + dh${q});
        let iw${i}_${q} = u32(i32(place${i}.x * p.stride) + dw${q});
        let in${i}_${q} = k + ka + ${i * A_STEP}u < p.depth && ih${i}_${q} < p.h && iw${i}_${q} < p.w;
        let at${i}_${q} = ((place${i}.z * p.h + ih${i}_${q}) * p.w + iw${i}_${q}) * p.ci + ic${q};
#if XVEC
        let f${i}_${q} = x[select(0u, at${i}_${q} / 4u, in${i}_${q})];
#else
        let f${i}_${q} = x[select(0u, at${i}_${q}, in${i}_${q})];
#endif
#endfor
        place${i} = moved(place${i}, step);
#endfor
#for i in 0..B_LOADS
        let live${i} = k + kb + ${i * B_STEP}u < p.depth;
        let line${i} = select(0u, (k + kb + ${i * B_STEP}u) * p.co, live${i});
#if YVEC
        let g${i} = dy[(line${i} + oc) / 4u];
#else
        let g${i} = vec4<f32>(dy[line${i} + oc0], dy[line${i} + oc1], dy[line${i} + oc2], dy[line${i} + oc3]);
#endif
#endfor
        k += ${BK}u;
#if stage == 1
#import shared/tile_step
        workgroupBarrier();
#endif
#for i in 0..A_LOADS
#if XVEC
        tile[(ka + ${i * A_STEP}u) * ${PITCH_A}u + ra] = select(vec4<f32>(0.0), f${i}_0, in${i}_0);
#else
        tile[(ka + ${i * A_STEP}u) * ${PITCH_A}u + ra] = select(
            vec4<f32>(0.0), vec4<f32>(f${i}_0, f${i}_1, f${i}_2, f${i}_3),
            vec4<bool>(in${i}_0, in${i}_1, in${i}_2, in${i}_3));
#endif
#endfor
#for i in 0..B_LOADS
        tile[${B_START}u + (kb + ${i * B_STEP}u) * ${PITCH_B}u + nb] = select(vec4<f32>(0.0), g${i}, live${i});
#endfor
        workgroupBarrier();
    }
#endfor

#for i in 0..TM / 4
    let row${i} = top + 4u * (ty + ${i * LINES}u);
#for j in 0..TN / 4
#for q in 0..4
    let col${i}_${j}_${q} = left + 4u * (tx + ${j * ACROSS}u) + ${q}u;
    if row${i} < p.rows && col${i}_${j}_${q} < p.co_group {
        let to = wid.z * p.size + (block * p.co_group + col${i}_${j}_${q}) * p.rows + row${i};
#if XVEC
        var v = vec4<f32>(
            s${4 * i}_${j}[${q}], s${4 * i + 1}_${j}[${q}], s${4 * i + 2}_${j}[${q}], s${4 * i + 3}_${j}[${q}]);
        if p.accumulate != 0u {
            v += out[to / 4u];
        }
        out[to / 4u] = v;
#else
#for e in 0..4
        if row${i} + ${e}u < p.rows {
            var v = s${4 * i + e}_${j}[${q}];
            if p.accumulate != 0u {
                v += out[to + ${e}u];
            }
            out[to + ${e}u] = v;
        }
#endfor
#endif
    }
#endfor
#endfor
#endfor
}
