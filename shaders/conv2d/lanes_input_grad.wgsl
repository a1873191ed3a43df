// The convolution's gradient with respect to its input for software adapters: lanes share what each of them loads.
//
//   dx as in input_grad.wgsl; CO % 4 == 0, CI % Q == 0, one group, subgroups of exactly LANES invocations.
//   z = (number of the convolution) · stride² + parity class; convolutions lie one behind the other in dy, w and dx.
//
// A subgroup owns ROWS pixels of its class x LANES · COLUMNS input channels; lane l the channels Q·l … Q·l + Q − 1 of each
// block of LANES · Q. Lane l loads dy of pixel l + LANES · i as vec4 over the output channels and hands it on by shuffles.
// Memory: ROWS / LANES loads of vec4 and 4 · COLUMNS / Q of vecQ for 4 · ROWS · COLUMNS multiply-adds.

#import shared/index
#import shared/quad

#define GROUP 8

#if COLUMNS > 4
#define Q 4
#else
#define Q COLUMNS
#endif

struct Params {
    h: u32, w: u32, ci: u32, oh: u32, ow: u32, co: u32, kh: u32, kw: u32,
    stride: u32, padding: u32, dilation: u32,
    ci_group: u32, co_group: u32, tiles: u32, n: u32, pixels: u32, rows: u32, columns: u32, step: u32, accumulate: u32,
}

#if Q == 4
alias V = vec4<f32>;
alias L = Quad;
fn load(l: L) -> V { return unquad(l); }
fn store(v: V) -> L { return quad(v); }
#else
alias V = vec2<f32>;
alias L = Pair;
fn load(l: L) -> V { return unpair(l); }
fn store(v: V) -> L { return pair(v); }
#endif

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> dy: array<Quad>;
@group(0) @binding(2) var<storage, read> w: array<L>;
@group(0) @binding(3) var<storage, read_write> dx: array<L>;

// The first tap of a parity class; every `step`-th from there on divides. A loop that runs not at all costs a software
// adapter a whole turn, so the others are stepped over rather than tested. Adding a multiple of s avoids negative numbers.
fn first_tap(parity: u32) -> u32 {
    var tap = 0u;
    while tap < p.step && (parity + p.padding + (p.stride - 1u) * tap * p.dilation) % p.stride != 0u {
        tap++;
    }
    return select(tap, 0xffffu, tap == p.step);
}

@compute @workgroup_size(64)
fn lanes_input_grad(
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
    @builtin(subgroup_invocation_id) lane: u32,
) {
    let id = folded_group(wid, groups) * ${64 / LANES}u + local / ${LANES}u;
    let lead = (id / p.tiles) * ${ROWS}u;
    let ic0 = (id % p.tiles) * ${LANES * COLUMNS}u + lane * ${Q}u;
    let parity = wid.z % (p.stride * p.stride);
    let z = wid.z / (p.stride * p.stride);
    let ph = parity / p.stride;
    let pw = parity % p.stride;
    let co = p.co / 4u;
    let ci = p.ci / ${Q}u;
    let row = p.kh * p.kw * ci;
#for j in 0..COLUMNS / Q
    let w${j} = z * p.co * row + min(ic0 + ${j * LANES * Q}u, p.ci - ${Q}u) / ${Q}u;
#endfor
#for i in 0..ROWS / LANES
    // p.pixels = n · rows · columns, rows = ceil(h / s), columns = ceil(w / s): the largest parity class.
    let m${i} = min(lead + ${LANES * i}u + lane, p.pixels - 1u);
    let t${i} = m${i} / p.columns;
    let h${i} = (t${i} % p.rows) * p.stride + ph;
    let v${i} = (m${i} % p.columns) * p.stride + pw;
    let n${i} = z * p.n + t${i} / p.rows;
#endfor
#for r in 0..ROWS
#for j in 0..COLUMNS
    var a${r}_${j} = 0.0;
#endfor
#endfor
    // Pixels of this block. All bounds and conditions go by it, see lanes_forward.
    let live = min(${ROWS}u, p.pixels - min(lead, p.pixels));
    let taps = select(vec2<u32>(0u), vec2<u32>(p.kh, p.kw), live > 0u);
    let turns = select(0u, co, live > 0u);
    for (var kh = first_tap(ph); kh < taps.x; kh += p.step) {
        for (var kw = first_tap(pw); kw < taps.y; kw += p.step) {
#for i in 0..ROWS / LANES
            let uh${i} = i32(h${i} + p.padding) - i32(kh * p.dilation);
            let uw${i} = i32(v${i} + p.padding) - i32(kw * p.dilation);
            let oh${i} = u32(max(uh${i}, 0)) / p.stride;
            let ow${i} = u32(max(uw${i}, 0)) / p.stride;
            let in${i} = uh${i} >= 0 && uw${i} >= 0 && oh${i} < p.oh && ow${i} < p.ow;
            let y${i} = select(0u, ((n${i} * p.oh + oh${i}) * p.ow + ow${i}) * co, in${i});
#endfor
            var wb = (kh * p.kw + kw) * ci;
            for (var c = 0u; c < turns; c++) {
#for i in 0..ROWS / LANES
                let f${i} = select(vec4<f32>(0.0), unquad(dy[y${i} + c]), in${i});
#endfor
#for e in 0..4
#for j in 0..COLUMNS / Q
                let g${e}_${j} = load(w[w${j} + wb + ${e}u * row]);
#endfor
#endfor
#for r in 0..ROWS
#for e in 0..4
                let b${r}_${e} = subgroupShuffle(f${r / LANES}[${e}], ${r % LANES}u);
#for j in 0..COLUMNS
                a${r}_${j} = fma(b${r}_${e}, g${e}_${j / Q}[${j % Q}], a${r}_${j});
#endfor
#endfor
#endfor
                wb += 4u * row;
            }
        }
    }
    // Every lane knows its own pixels; the others' places come by shuffle as well.
#for i in 0..ROWS / LANES
    let inside${i} = lead + ${LANES * i}u + lane < p.pixels && h${i} < p.h && v${i} < p.w;
    var place${i} = select(0xffffffffu, ((n${i} * p.h + h${i}) * p.w + v${i}) * ci, inside${i});
#endfor
    // Stored as lanes_forward does.
    let accumulate = p.accumulate != 0u && live > 0u;
    for (var first = 0u; first < live; first += ${GROUP}u) {
#for r in 0..GROUP
        let to${r} = subgroupShuffle(place${r / LANES}, ${r % LANES}u);
        if to${r} != 0xffffffffu {
#for j in 0..COLUMNS / Q
            if ic0 + ${j * LANES * Q}u < p.ci {
                let at${j} = to${r} + (ic0 + ${j * LANES * Q}u) / ${Q}u;
#if Q == 4
                var s${j} = V(a${r}_${4 * j}, a${r}_${4 * j + 1}, a${r}_${4 * j + 2}, a${r}_${4 * j + 3});
#else
                var s${j} = V(a${r}_${2 * j}, a${r}_${2 * j + 1});
#endif
                if accumulate {
                    s${j} += load(dx[at${j}]);
                }
                dx[at${j}] = store(s${j});
            }
#endfor
        }
#endfor
#for i in 0..(ROWS - GROUP) / LANES
        place${i} = place${i + GROUP / LANES};
#endfor
#for r in 0..ROWS - GROUP
#for j in 0..COLUMNS
        a${r}_${j} = a${r + GROUP}_${j};
#endfor
#endfor
    }
}
