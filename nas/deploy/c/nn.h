/* Kernels of an exported network. Tensors are int8, height x width x channels, in one static arena.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Windows (convolutions and pools) are CMSIS-NN's; the others are TensorFlow Lite Micro's integer arithmetic.
 */
#ifndef NN_H
#define NN_H

#include <stdint.h>

typedef struct {
    const int8_t *input;
    int8_t *output;
    void *scratch; /* the kernel's working memory, in the arena too */
    const int8_t *weights;
    const int32_t *bias, *multiplier, *shift; /* one per filter */
    uint16_t in_height, in_width, in_channels, out_height, out_width, out_channels;
    uint16_t kernel_height, kernel_width, stride_height, stride_width, dilation_height, dilation_width;
    uint16_t pad_top, pad_left, groups;
    int16_t in_offset, out_offset; /* added to what is read, and to what is written */
    int8_t low, high;              /* what is written lies between them */
} nn_window;

typedef struct {
    const int8_t *input;
    int8_t *output;
    const int8_t *weights; /* out_features x in_features */
    const int32_t *bias;   /* with the input's offset times the sum of the weights */
    const int32_t *multiplier, *shift;
    uint16_t in_features, out_features;
    int16_t out_offset;
    int8_t low, high;
} nn_linear;

typedef struct {
    const int8_t *left, *right;
    int8_t *output;
    uint32_t rows, columns;
    uint32_t left_row, right_row, left_step, right_step; /* from one row, and one column, to the next; 0 repeats */
    int32_t left_multiplier, right_multiplier, multiplier;
    int8_t left_shift, right_shift, shift; /* sums: to the right */
    int16_t left_offset, right_offset, out_offset;
    int8_t low, high;
} nn_pair;

typedef struct {
    const int8_t *input;
    int8_t *output;
    const int8_t *table; /* of -128, -127, ... 127 */
    uint32_t count;
} nn_table;

typedef struct {
    const int8_t *input;
    int8_t *output;
    const int32_t *exponentials; /* of the greatest value minus 0, 1, ... 255, in 31 bits; 0 is left out */
    uint32_t rows, columns;
} nn_normalize;

typedef struct {
    const int8_t *input;
    int8_t *output;
    uint16_t rows, columns, bytes;            /* bytes are copied at each of rows x columns places */
    uint32_t in_row, in_column, out_row, out_column; /* steps from one place to the next, in bytes */
} nn_box;

typedef struct {
    int8_t *output;
    uint32_t count;
    int8_t value;
} nn_plain;

typedef struct {
    const int8_t *input;
    int8_t *output;
    uint32_t places;
    uint16_t groups, members;
} nn_swap;

typedef struct {
    const int8_t *input;
    int8_t *output;
    uint16_t in_width, channels, out_height, out_width;
    const uint16_t *rows, *columns; /* nearest: which one is read */
} nn_nearest;

typedef struct {
    const int8_t *input;
    int8_t *output;
    uint16_t in_width, channels, out_height, out_width;
    const uint16_t *rows, *columns; /* three each: the lower one, the upper one, 1024ths of the upper one */
} nn_bilinear;

void nn_conv(const nn_window *layer);
void nn_conv_1x1(const nn_window *layer);
void nn_conv_1x1_strided(const nn_window *layer);
void nn_conv_grouped(const nn_window *layer);
void nn_dw_3x3(const nn_window *layer);
void nn_dw(const nn_window *layer);
void nn_dw_any(const nn_window *layer);
void nn_avg_pool(const nn_window *layer);
void nn_max_pool(const nn_window *layer);
void nn_transpose_conv(const nn_window *layer);
void nn_fc(const nn_linear *layer);
void nn_add(const nn_pair *layer);
void nn_sub(const nn_pair *layer);
void nn_mul(const nn_pair *layer);
void nn_lookup(const nn_table *layer);
void nn_softmax(const nn_normalize *layer);
void nn_copy(const nn_box *layer);
void nn_fill(const nn_plain *layer);
void nn_transpose(const nn_swap *layer);
void nn_resize_nearest(const nn_nearest *layer);
void nn_resize_linear(const nn_bilinear *layer);

/* The high 32 bits of twice the product, rounded; both are never the least int32 here. */
static inline int32_t nn_high(int32_t a, int32_t b) {
    return (int32_t)(((int64_t)a * b + ((int64_t)1 << 30)) >> 31);
}

/* Divided by a power of two and rounded, halves away from zero. */
static inline int32_t nn_round_shift(int32_t value, int32_t exponent) {
    const int32_t mask = (int32_t)((1u << exponent) - 1u);
    const int32_t threshold = (mask >> 1) + (value < 0);
    return (value >> exponent) + ((value & mask) > threshold);
}

/* Times multiplier / 2^31 * 2^shift. */
static inline int32_t nn_scaled(int32_t value, int32_t multiplier, int32_t shift) {
    const int32_t left = shift > 0 ? shift : 0, right = shift > 0 ? 0 : -shift;
    return nn_round_shift(nn_high((int32_t)((uint32_t)value << left), multiplier), right);
}

/* The same where the shift is to the right. */
static inline int32_t nn_scaled_down(int32_t value, int32_t multiplier, int32_t right) {
    return nn_round_shift(nn_high(value, multiplier), right);
}

static inline int8_t nn_clamped(int32_t value, int8_t low, int8_t high) {
    return (int8_t)(value < low ? low : value > high ? high : value);
}

#endif
