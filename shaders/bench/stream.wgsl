// Memory bandwidth, over arrays of vec4<f32>.
//
//   OP 0  read   sums[i] = Σ of the components of PER vectors of a
//   OP 1  write  out = value + (number of the vector mod 65536)
//   OP 2  copy   out = a
//   OP 3  triad  out = a + value · b
//
// One workgroup: 64 · PER neighbouring vectors; one invocation: every 64th of them, so that neighbours load neighbours.
// Memory: each vector once. Reading also writes one word for 4 · PER words read, which is not counted.

#define OP 2
#define PER 4

#import shared/index

struct Params { blocks: u32, value: f32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> a: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> b: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> out: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> sums: array<f32>;

@compute @workgroup_size(64)
fn stream(
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let block = folded_group(wid, groups);
    if block >= p.blocks {
        return;
    }
    let first = block * ${64 * PER}u + lane;
#if OP == 0
    var sum = vec4<f32>(p.value);
#for k in 0..PER
    sum += a[first + ${64 * k}u];
#endfor
    sums[block * 64u + lane] = (sum.x + sum.y) + (sum.z + sum.w);
#else
#for k in 0..PER
#if OP == 1
    out[first + ${64 * k}u] = vec4<f32>(p.value + f32((first + ${64 * k}u) % 65536u));
#elif OP == 2
    out[first + ${64 * k}u] = a[first + ${64 * k}u];
#else
    out[first + ${64 * k}u] = a[first + ${64 * k}u] + p.value * b[first + ${64 * k}u];
#endif
#endfor
#endif
}
