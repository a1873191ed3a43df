// Where value `id` of a map [n, h, w, c] is: (image, row, column, channel).
fn map_place(id: u32, h: u32, w: u32, c: u32) -> vec4<u32> {
    // Remainders by multiplication: a division costs more than all the rest.
    let pixel = id / c;
    let row = pixel / w;
    let image = row / h;
    return vec4<u32>(image, row - image * h, pixel - row * w, id - pixel * c);
}

// The other way.
fn map_index(place: vec4<u32>, h: u32, w: u32, c: u32) -> u32 {
    return ((place.x * h + place.y) * w + place.z) * c + place.w;
}
