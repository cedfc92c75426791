//! The canonical tensors of a weights file (docs/scoring-spec.md, section 2): names, shapes, order.

use soma_types::{Architecture, architecture::VOCAB};

/// One tensor that every weights file of an architecture holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorSpec {
    /// Such as `encoder.layers.0.attention.query.weight`.
    pub name: String,
    /// Such as `[2048, 2048]`; matrices are `[in, out]`.
    pub shape: Vec<usize>,
}

impl TensorSpec {
    /// Number of values.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Never: architectures have no zero dimension.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Every tensor of the architecture, in the order the model uses them.
#[must_use]
pub fn layout(architecture: &Architecture) -> Vec<TensorSpec> {
    let (d, ffn) = (architecture.embedding_dim as usize, architecture.ffn_dim as usize);
    let mut specs = Vec::new();
    let mut add = |name: String, shape: &[usize]| {
        specs.push(TensorSpec {
            name,
            shape: shape.to_vec(),
        });
    };
    add("embedding.weight".into(), &[VOCAB, d]);
    for layer in 0..architecture.layers {
        let prefix = format!("encoder.layers.{layer}");
        for part in ["gamma", "beta"] {
            add(format!("{prefix}.norm_1.{part}"), &[d]);
        }
        for linear in ["query", "key", "value", "output"] {
            add(format!("{prefix}.attention.{linear}.weight"), &[d, d]);
            add(format!("{prefix}.attention.{linear}.bias"), &[d]);
        }
        for part in ["gamma", "beta"] {
            add(format!("{prefix}.norm_2.{part}"), &[d]);
        }
        add(format!("{prefix}.pwff.linear_inner.weight"), &[d, ffn]);
        add(format!("{prefix}.pwff.linear_inner.bias"), &[ffn]);
        add(format!("{prefix}.pwff.linear_outer.weight"), &[ffn, d]);
        add(format!("{prefix}.pwff.linear_outer.bias"), &[d]);
    }
    for part in ["gamma", "beta"] {
        add(format!("final_norm.{part}"), &[d]);
    }
    add("predictor.weight".into(), &[d, VOCAB]);
    add("predictor.bias".into(), &[VOCAB]);
    specs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layout_counts_every_parameter_once() {
        for architecture in [Architecture::NANO, Architecture::V1] {
            let specs = layout(&architecture);
            let total: usize = specs.iter().map(TensorSpec::len).sum();
            assert_eq!(total as u64, architecture.parameters());
            let names: std::collections::BTreeSet<_> = specs.iter().map(|spec| &spec.name).collect();
            assert_eq!(names.len(), specs.len());
        }
    }
}
