//! The operations of the V1 model, each in two forms: fused kernels for the CPU, and compositions for every
//! other backend.

pub mod fused;
pub mod portable;

use std::sync::Arc;

use burn::tensor::{Device, Tensor};
use soma_model::kernels::Rope;
use soma_types::architecture::LAYER_NORM_EPSILON;

use crate::kernels::attention::Sizes;

/// Which form of the operations a model uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operations {
    /// This crate's kernels; only on burn's Flex (CPU) backend with autodiff.
    Fused,
    /// burn's own operations, on any backend.
    Portable,
}

/// The CPU, with autodiff.
#[must_use]
pub fn cpu() -> Device {
    Device::flex().autodiff()
}

impl Operations {
    pub(crate) fn embed(self, table: Tensor<2>, tokens: &[u16]) -> Tensor<2> {
        match self {
            Self::Fused => fused::embed(table, tokens),
            Self::Portable => portable::embed(table, tokens),
        }
    }

    pub(crate) fn linear(self, x: Tensor<2>, weight: Tensor<2>, bias: Tensor<1>) -> Tensor<2> {
        match self {
            Self::Fused => fused::linear(x, weight, bias),
            Self::Portable => portable::linear(x, weight, bias),
        }
    }

    pub(crate) fn layer_norm(self, x: Tensor<2>, gamma: Tensor<1>, beta: Tensor<1>) -> Tensor<2> {
        match self {
            Self::Fused => fused::layer_norm(x, gamma, beta, LAYER_NORM_EPSILON),
            Self::Portable => portable::layer_norm(x, gamma, beta, LAYER_NORM_EPSILON),
        }
    }

    pub(crate) fn gelu(self, x: Tensor<2>) -> Tensor<2> {
        match self {
            Self::Fused => fused::gelu(x),
            Self::Portable => portable::gelu(x),
        }
    }

    pub(crate) fn attention(self, [q, k, v]: [Tensor<2>; 3], rope: &Arc<Rope>, sizes: Sizes) -> Tensor<2> {
        match self {
            Self::Fused => fused::attention(q, k, v, rope, sizes),
            Self::Portable => portable::attention(q, k, v, rope, sizes),
        }
    }

    pub(crate) fn cross_entropy(self, logits: Tensor<2>, targets: &[Option<u16>]) -> Tensor<1> {
        match self {
            Self::Fused => fused::cross_entropy(logits, targets),
            Self::Portable => portable::cross_entropy(logits, targets),
        }
    }

    pub(crate) fn sigreg(self, x: Tensor<2>, counts: &[bool], directions: &[f32]) -> Tensor<1> {
        match self {
            Self::Fused => fused::sigreg(x, counts, directions),
            Self::Portable => portable::sigreg(x, counts, directions),
        }
    }
}
