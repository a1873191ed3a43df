// The convolution's gradient with respect to its weight as implicit GEMM through workgroup memory.
//
//   dw[oc, kh, kw, ic] (+)= Σ_{n, oh, ow} x[n, oh·s − p + kh·d, ow·s − p + kw·d, ic] · dy[n, oh, ow, oc]
//
// C = A · B: the rows are (kh, kw, ic), gathered from x, the columns oc, and the terms all output pixels: few tiles and
// a huge sum, so z counts the items of a batch and, above them, the parts of the terms; each part of each item has its own
// `size` values of `out`, and tiled_sum adds the parts in order. The
// groups of x and y are tiles, column tiles first. Both operands are contiguous across a tile's line, so a block is
// fetched as 4 terms x vec4 and stored as it is; neighbouring lanes fetch neighbouring channels. See shared/tile for who
// owns what. A loading lane carries the place (ow, oh, n) of its first pixel from tile to tile by additions with carry.
// Two barriers a tile; the next tile is fetched into registers before this one is multiplied.
// XVEC = 1: CI/G % 4 == 0, x is loaded and dw stored as vec4. YVEC = 1: CO/G % 4 == 0, dy is loaded as vec4.
// ROW = 1: OW % 4 == 0, so that a block's four pixels lie in one row.
//
// Memory and registers as in tiled.wgsl, and 12 for places.

#import shared/index
#import shared/tile

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
alias InX = bool;
#else
alias X = f32;
alias InX = vec4<bool>;
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

    // What this lane fetches: block (kb, rb) of A or of B, and where it puts it.
    let of_a = lane < ${A_BLOCKS}u;
    let of_b = lane >= ${A_BLOCKS}u && lane < ${A_BLOCKS + B_BLOCKS}u;
    let id = select(lane - ${A_BLOCKS}u, lane, of_a);
    let breadth = select(${BN / 4}u, ${BM / 4}u, of_a);
    let kb = id / breadth;
    let rb = id % breadth;
    let pitch = select(${PITCH_B}u, ${PITCH_A}u, of_a);
    let slot = select(${B_START}u, 0u, of_a) + 4u * kb * pitch + rb;
    // Rows and columns beyond the last repeat earlier ones: their sums are not stored.
#if XVEC
#define RUNS 1
    let m0 = min(top + 4u * rb, p.rows - 4u);
#else
#define RUNS 4
#for q in 0..4
    let m${q} = min(top + 4u * rb + ${q}u, p.rows - 1u);
#endfor
#endif
#for q in 0..RUNS
    let tap${q} = m${q} / p.ci_group;
    let ic${q} = x0 + m${q} % p.ci_group;
    let dh${q} = i32((tap${q} / p.kw) * p.dilation) - i32(p.padding);
    let dw${q} = i32((tap${q} % p.kw) * p.dilation) - i32(p.padding);
#endfor
#if YVEC
    let oc = dy0 + min(left + 4u * rb, p.co_group - 4u);
#else
#for q in 0..4
    let oc${q} = dy0 + min(left + 4u * rb + ${q}u, p.co_group - 1u);
#endfor
#endif

    var k = first * ${BK}u + 4u * kb;
    let step = vec3<u32>(p.step_x, p.step_y, p.step_n);
    var place = vec3<u32>(k % p.ow, (k / p.ow) % p.oh, (k / p.ow) / p.oh);
#for e in 0..4
    var f${e} = vec4<f32>(0.0);
    var in${e} = InX(false);
#endfor

    // Neighbouring lanes own neighbouring rows, which lie side by side in dw.
    let ty = lane % ${LINES}u;
    let tx = lane / ${LINES}u;
#for r in 0..TM
#for j in 0..TN / 4
    var s${r}_${j} = vec4<f32>(0.0);
#endfor
#endfor

    for (var t = first; t <= last; t++) {
        if t < last {
            if of_a {
                var at = place;
#for e in 0..4
#for q in 0..RUNS
                let ih${e}_${q} = u32(i32(at.y * p.stride) + dh${q});
                let iw${e}_${q} = u32(i32(at.x * p.stride) + dw${q});
                let seen${e}_${q} = k + ${e}u < p.depth && ih${e}_${q} < p.h && iw${e}_${q} < p.w;
                let base${e}_${q} = ((at.z * p.h + ih${e}_${q}) * p.w + iw${e}_${q}) * p.ci + ic${q};
#if XVEC
                in${e} = seen${e}_${q};
                f${e} = x[select(0u, base${e}_${q} / 4u, seen${e}_${q})];
#else
                in${e}[${q}] = seen${e}_${q};
                f${e}[${q}] = x[select(0u, base${e}_${q}, seen${e}_${q})];
#endif
#endfor
#if ROW
                at.x += 1u;
#else
                at = moved(at, vec3<u32>(1u, 0u, 0u));
#endif
#endfor
            } else if of_b {
#for e in 0..4
                in${e} = InX(k + ${e}u < p.depth);
                let line${e} = select(0u, (k + ${e}u) * p.co, k + ${e}u < p.depth);
#if YVEC
                f${e} = dy[(line${e} + oc) / 4u];
#else
#for q in 0..4
                f${e}[${q}] = dy[line${e} + oc${q}];
#endfor
#endif
#endfor
            }
            k += ${BK}u;
            place = moved(place, step);
        }
        if t > first {
#import shared/tile_step
        }
        workgroupBarrier();
        if t < last && (of_a || of_b) {
#for e in 0..4
            tile[slot + ${e}u * pitch] = select(vec4<f32>(0.0), f${e}, in${e});
#endfor
        }
        workgroupBarrier();
    }

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
