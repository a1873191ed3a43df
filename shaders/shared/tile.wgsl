// The workgroup memory of a tiled product C = A · B: BK terms of BM rows and of BN columns at a time.
//
// Both operand tiles lie one term a line, A first; a line is padded by one vec4, so that lanes that write different lines
// meet different banks. An invocation owns TM x TN sums, in vec4 pieces: rows 4 · (ty + i · LINES) + 0…3, columns
// 4 · (tx + j · ACROSS) + 0…3. Neighbouring lanes thus read neighbouring vec4s, or the same one.
// A lane fetches one block of 4 rows or columns x 4 terms for each tile: the first A_BLOCKS lanes of A, the next B_BLOCKS
// of B, the rest none. The launcher chooses sizes with A_BLOCKS + B_BLOCKS <= WIDTH.

#define PITCH_A BM / 4 + 1
#define PITCH_B BN / 4 + 1
#define LINES BM / TM
#define ACROSS BN / TN
#define WIDTH LINES * ACROSS
#define A_BLOCKS (BM / 4) * (BK / 4)
#define B_BLOCKS (BN / 4) * (BK / 4)
#define B_START BK * PITCH_A

var<workgroup> tile: array<vec4<f32>, ${BK * (PITCH_A + PITCH_B)}>;
