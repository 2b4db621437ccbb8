// Loops over elements, see loops.h.
#pragma once

#include "kernels/cpu/isa/vector.h"
#include "kernels/cpu/loops.h"

namespace {

using hearth::cpu::AdamWFactors;

template <class X, class Y>
void cast(const void* x, void* y, std::int64_t n) {
  const X* from = static_cast<const X*>(x);
  Y* to = static_cast<Y*>(y);
  vectors(n, [&](std::int64_t i, std::int64_t count) HEARTH_LAMBDA { store(to + i, load(from + i, count), count); });
}

template <class X, class Y>
void add(const void* x, void* y, std::int64_t n) {
  const X* from = static_cast<const X*>(x);
  Y* to = static_cast<Y*>(y);
  vectors(n, [&](std::int64_t i, std::int64_t count)
                 HEARTH_LAMBDA { store(to + i, load(to + i, count) + load(from + i, count), count); });
}

template <class S>
void sum(const void* a, const void* b, void* y, std::int64_t n) {
  const S* left = static_cast<const S*>(a);
  const S* right = static_cast<const S*>(b);
  S* to = static_cast<S*>(y);
  vectors(n, [&](std::int64_t i, std::int64_t count)
                 HEARTH_LAMBDA { store(to + i, load(left + i, count) + load(right + i, count), count); });
}

template <class S>
void scale(float factor, void* y, std::int64_t n) {
  S* to = static_cast<S*>(y);
  vectors(
      n, [&](std::int64_t i, std::int64_t count) HEARTH_LAMBDA { store(to + i, load(to + i, count) * factor, count); });
}

void blend(float a, float b, const float* x, float* y, std::int64_t n) {
  vectors(n, [&](std::int64_t i, std::int64_t count)
                 HEARTH_LAMBDA { store(y + i, load(y + i, count) * a + load(x + i, count) * b, count); });
}

template <class S>
void store_tile(float factor, const float* x, void* y, bool adds, std::int64_t n) {
  S* to = static_cast<S*>(y);
  vectors(n, [&](std::int64_t i, std::int64_t count) HEARTH_LAMBDA {
    const F product = load(x + i, count) * factor;
    store(to + i, adds ? load(to + i, count) + product : product, count);
  });
}

HEARTH_INLINE F sigmoid(F x) {
  return 1.0F / (1.0F + vexp(-x));
}

template <class S>
void swiglu(const void* gate, const void* up, void* y, std::int64_t n) {
  const S* gates = static_cast<const S*>(gate);
  const S* ups = static_cast<const S*>(up);
  S* to = static_cast<S*>(y);
  vectors(n, [&](std::int64_t i, std::int64_t count) HEARTH_LAMBDA {
    const F g = load(gates + i, count);
    store(to + i, g * sigmoid(g) * load(ups + i, count), count);
  });
}

template <class S>
void swiglu_backward(const void* gate, const void* up, const void* dy, void* dgate, void* dup, std::int64_t n) {
  const S* gates = static_cast<const S*>(gate);
  const S* ups = static_cast<const S*>(up);
  const S* gradients = static_cast<const S*>(dy);
  S* dgates = static_cast<S*>(dgate);
  S* dups = static_cast<S*>(dup);
  vectors(n, [&](std::int64_t i, std::int64_t count) HEARTH_LAMBDA {
    const F g = load(gates + i, count);
    const F u = load(ups + i, count);
    const F d = load(gradients + i, count);
    const F s = sigmoid(g);
    store(dgates + i, d * u * s * (1.0F + g * (1.0F - s)), count);
    store(dups + i, d * g * s, count);
  });
}

void adamw(const AdamWFactors& by, const float* gradient, float* weight, float* first, float* second, std::int64_t n) {
  vectors(n, [&](std::int64_t i, std::int64_t count) HEARTH_LAMBDA {
    const F g = load(gradient + i, count) * by.gradient;
    const F m = vfma(vset(by.beta1), load(first + i, count), g * by.rest1);
    const F v = vfma(vset(by.beta2), load(second + i, count), g * g * by.rest2);
    F w = load(weight + i, count);
    w = vfma(vset(-by.decay), w, w);  // as one rounding: 1 - rate * decay does not fit into an f32
    w = w - by.step * m / vfma(vsqrt(v), vset(by.inverse_root), vset(by.epsilon));
    store(first + i, m, count);
    store(second + i, v, count);
    store(weight + i, w, count);
  });
}

template <class S>
void rotate(const void* x, const float* cosine, const float* sine, float sign, void* y, std::int64_t half) {
  const S* from = static_cast<const S*>(x);
  S* to = static_cast<S*>(y);
  vectors(half, [&](std::int64_t i, std::int64_t count) HEARTH_LAMBDA {
    const F low = load(from + i, count);
    const F high = load(from + half + i, count);
    const F c = load(cosine + i, count);
    const F s = load(sine + i, count) * sign;
    store(to + i, low * c - high * s, count);
    store(to + half + i, high * c + low * s, count);
  });
}

}  // namespace
