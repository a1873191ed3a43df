// Memory bandwidth, over arrays of four floats, loaded and stored as shared/quad has them.
//
//   OP 0  read   sums[i] = Σ of the components of PER vectors of a
//   OP 1  write  out = value + (number of the vector mod 65536)
//   OP 2  copy   out = a
//   OP 3  triad  out = a + value · b
//
// One workgroup: 64 · PER neighbouring vectors; RUN invocations: RUN · PER of them, one invocation every RUN-th. Neighbours load
// neighbours; RUN is what runs at once, so that a machine that runs a subgroup to its end before the next walks straight on.
// Memory: each vector once. Reading also writes one word for 4 · PER words read, which is not counted.

#define OP 2
#define PER 4
#define RUN 64

#import shared/index
#import shared/quad

struct Params { blocks: u32, value: f32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> a: array<Quad>;
@group(0) @binding(2) var<storage, read> b: array<Quad>;
@group(0) @binding(3) var<storage, read_write> out: array<Quad>;
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
    let first = block * ${64 * PER}u + lane / ${RUN}u * ${RUN * PER}u + lane % ${RUN}u;
#if OP == 0
    var sum = vec4<f32>(p.value);
#for k in 0..PER
    sum += unquad(a[first + ${RUN * k}u]);
#endfor
    sums[block * 64u + lane] = (sum.x + sum.y) + (sum.z + sum.w);
#else
#for k in 0..PER
#if OP == 1
    out[first + ${RUN * k}u] = quad(vec4<f32>(p.value + f32((first + ${RUN * k}u) % 65536u)));
#elif OP == 2
    out[first + ${RUN * k}u] = a[first + ${RUN * k}u];
#else
    out[first + ${RUN * k}u] = quad(unquad(a[first + ${RUN * k}u]) + p.value * unquad(b[first + ${RUN * k}u]));
#endif
#endfor
#endif
}
