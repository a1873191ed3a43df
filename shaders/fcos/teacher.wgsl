// A detector's teacher: what the places are to say after it, and the loss of their classes against its.
//   teach   one invocation: one place. targets as in fcos.wgsl from what a teacher says instead: its distances, and in place of
//           centre-ness its foreground q = max over the classes of σ(taught); class 0 where q ≥ `least`, else −1. giou of fcos/loss.wgsl
//           is then that against the teacher.
//   soft    q · T² Σ over the classes of KL(σ(taught / T) ‖ σ(z / T)), / max(norm[1], 10⁻⁶)

#import shared/detection

// As z, of a teacher.
@group(0) @binding(7) var<storage, read> taught: array<f32>;

struct Teach { rows: u32, classes: u32, least: f32 }

@group(0) @binding(0) var<uniform> t: Teach;
@group(0) @binding(2) var<storage, read_write> assigned: array<f32>;

@compute @workgroup_size(64)
fn teach(
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let id = folded_index(wid, groups, lane, 64u);
    if id >= t.rows {
        return;
    }
    let at = id * (t.classes + 5u);
    var top = -3e38;
    for (var c = 0u; c < t.classes; c++) {
        top = max(top, taught[at + c]);
    }
    let q = exp(-softplus(-top));
    assigned[6u * id] = select(-1.0, 0.0, q >= t.least);
    for (var k = 0u; k < 4u; k++) {
        assigned[6u * id + 1u + k] = exp(clamp(taught[at + t.classes + k], -15.0, 15.0));
    }
    assigned[6u * id + 5u] = q;
}

struct Soft { rows: u32, classes: u32, accumulate: u32, temperature: f32, weight: f32 }

@group(0) @binding(0) var<uniform> p: Soft;

@compute @workgroup_size(64)
fn soft(
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let id = folded_index(wid, groups, lane, 64u);
    if id >= p.rows {
        return;
    }
    let columns = p.classes + 5u;
    let scale = p.weight * targets[6u * id + 5u] / max(norm[1], 1e-6);
    var loss = 0.0;
    var most = 0u;
    for (var c = 0u; c < columns; c++) {
        var g = 0.0;
        if c < p.classes {
            let a = taught[id * columns + c] / p.temperature;
            let b = z[id * columns + c] / p.temperature;
            most = max(most, max(magnitude(a), magnitude(b)));
            let yes = exp(-softplus(-a));
            loss += p.temperature * p.temperature * (yes * (softplus(-b) - softplus(-a)) + (1.0 - yes) * (softplus(b) - softplus(a)));
            g = scale * p.temperature * (exp(-softplus(-b)) - yes);
        }
        put(id * columns + c, g, p.accumulate);
    }
    row_loss[id] = told(scale * loss, most);
}
