// Pooling over [N, H, W, C], windows of `kernel`² at `stride` with `padding`.
//   max:         y = max over the window's pixels inside the image;      dx[i] = Σ dy over the windows whose first maximum i is
//   average:     y = Σ / kernel² (padding counts as zeros);              dx[i] = Σ dy over the windows that contain i, / kernel²
//   global mean: y[n, c] = mean over H·W;                                dx[n, h, w, c] = dy[n, c] / (H·W)
//
// One invocation per element of the result, or per four channels (VEC = 4, C % 4 == 0). The gradients gather: each input
// pixel visits the windows it lies in, and asks whether an earlier pixel of the window already was the maximum.
// STRIDE is the stride where it is compiled in (1, 2), else 0.
// Memory: kernel² loads forward; backward (kernel / stride)² windows, for the maximum up to kernel² loads in each.

#import shared/index

struct Params {
    total: u32, h: u32, w: u32, oh: u32, ow: u32, c: u32,
    kernel: u32, stride: u32, padding: u32, accumulate: u32,
}

#if VEC == 4
alias X = vec4<f32>;
alias B = vec4<bool>;
alias U = vec4<u32>;
#else
alias X = f32;
alias B = bool;
alias U = u32;
#endif

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<X>;
@group(0) @binding(2) var<storage, read_write> y: array<X>;
@group(0) @binding(3) var<storage, read> out: array<X>;
@group(0) @binding(4) var<storage, read> dy: array<X>;
@group(0) @binding(5) var<storage, read_write> dx: array<X>;

// Element i of an array [N, high, wide, channels]; channels count in units of VEC.
struct Place { n: u32, row: u32, column: u32, channel: u32 }

fn place(i: u32, high: u32, wide: u32, channels: u32) -> Place {
    // Remainders by multiplication: a division costs more than all the rest.
    let pixel = i / channels;
    let line = pixel / wide;
    let n = line / high;
    return Place(n, line - n * high, pixel - line * wide, i - pixel * channels);
}

// The part of a window along one axis that lies inside the image: first and one past the last.
fn inside(at: u32, size: u32) -> vec2<u32> {
    let start = at * p.stride;
    return vec2<u32>(max(start, p.padding), min(start + p.kernel, size + p.padding)) - p.padding;
}

// The windows along one axis that contain position `at`: first and one past the last of `windows`.
fn containing(at: u32, windows: u32) -> vec2<u32> {
    let end = at + p.padding;
#if STRIDE == 0
    let stride = p.stride;
#else
    let stride = ${STRIDE}u;
#endif
    let first = select(0u, (end - min(end, p.kernel)) / stride + 1u, end >= p.kernel);
    return vec2<u32>(first, min(end / stride + 1u, windows));
}

fn put(i: u32, g: X) {
    if p.accumulate != 0u {
        dx[i] += g;
    } else {
        dx[i] = g;
    }
}

@compute @workgroup_size(64)
fn max_pool(
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = folded_index(wid, groups, lane, 64u);
    if i >= p.total {
        return;
    }
    let c = p.c / ${VEC}u;
    let o = place(i, p.oh, p.ow, c);
    let rows = inside(o.row, p.h);
    let columns = inside(o.column, p.w);
    var best = X(-3.0e38);
    // A window with something that is no number has none as its maximum; max would give the other operand.
    var most = U(0u);
    for (var r = rows.x; r < rows.y; r++) {
        let line = ((o.n * p.h + r) * p.w) * c + o.channel;
        for (var q = columns.x; q < columns.y; q++) {
            let v = x[line + q * c];
            best = max(best, v);
            most = max(most, bitcast<U>(v) & U(0x7fffffffu));
        }
    }
    y[i] = select(best, bitcast<X>(most), most > U(0x7f800000u));
}

@compute @workgroup_size(64)
fn max_pool_grad(
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = folded_index(wid, groups, lane, 64u);
    if i >= p.total {
        return;
    }
    let c = p.c / ${VEC}u;
    let o = place(i, p.h, p.w, c);
    let down = containing(o.row, p.oh);
    let across = containing(o.column, p.ow);
    let mine = x[i];
    var g = X(0.0);
    for (var a = down.x; a < down.y; a++) {
        let rows = inside(a, p.h);
        for (var b = across.x; b < across.y; b++) {
            let window = ((o.n * p.oh + a) * p.ow + b) * c + o.channel;
            let top = out[window];
            var won = mine >= top;
            if any(won) {
                let columns = inside(b, p.w);
                for (var r = rows.x; r <= o.row; r++) {
                    let line = ((o.n * p.h + r) * p.w) * c + o.channel;
                    let end = select(columns.y, o.column, r == o.row);
                    for (var q = columns.x; q < end; q++) {
                        won = won & (x[line + q * c] < top);
                    }
                }
                g += select(X(0.0), dy[window], won);
            }
        }
    }
    put(i, g);
}

@compute @workgroup_size(64)
fn avg_pool(
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = folded_index(wid, groups, lane, 64u);
    if i >= p.total {
        return;
    }
    let c = p.c / ${VEC}u;
    let o = place(i, p.oh, p.ow, c);
    let rows = inside(o.row, p.h);
    let columns = inside(o.column, p.w);
    var sum = X(0.0);
    for (var r = rows.x; r < rows.y; r++) {
        let line = ((o.n * p.h + r) * p.w) * c + o.channel;
        for (var q = columns.x; q < columns.y; q++) {
            sum += x[line + q * c];
        }
    }
    y[i] = sum / f32(p.kernel * p.kernel);
}

@compute @workgroup_size(64)
fn avg_pool_grad(
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = folded_index(wid, groups, lane, 64u);
    if i >= p.total {
        return;
    }
    let c = p.c / ${VEC}u;
    let o = place(i, p.h, p.w, c);
    let down = containing(o.row, p.oh);
    let across = containing(o.column, p.ow);
    var g = X(0.0);
    for (var a = down.x; a < down.y; a++) {
        for (var b = across.x; b < across.y; b++) {
            g += dy[((o.n * p.oh + a) * p.ow + b) * c + o.channel];
        }
    }
    put(i, g / f32(p.kernel * p.kernel));
}

@compute @workgroup_size(64)
fn global_avg(
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = folded_index(wid, groups, lane, 64u);
    if i >= p.total {
        return;
    }
    let c = p.c / ${VEC}u;
    let pixels = p.h * p.w;
    let n = i / c;
    let at = n * pixels * c + (i - n * c);
    var sum = X(0.0);
    for (var q = 0u; q < pixels; q++) {
        sum += x[at + q * c];
    }
    y[i] = sum / f32(pixels);
}

@compute @workgroup_size(64)
fn global_avg_grad(
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = folded_index(wid, groups, lane, 64u);
    if i >= p.total {
        return;
    }
    let c = p.c / ${VEC}u;
    let pixels = p.h * p.w;
    let pixel = i / c;
    put(i, dy[(pixel / pixels) * c + (i - pixel * c)] / f32(pixels));
}
