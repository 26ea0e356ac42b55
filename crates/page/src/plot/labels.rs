//! Where labels of moments stand, so that none covers another and no line goes through one.

/// A label to be placed: it begins at `at` and reaches `width` to the right.
#[derive(Debug, Clone, Copy)]
pub(super) struct Label {
    pub(super) at: f64,
    pub(super) width: f64,
}

/// The lane of each label, 0 the lowest; each has its line from its lane down.
///
/// A label goes above every one that begins within its width. So it is above whatever line comes up there, and its own line
/// comes down left of the lower ones.
pub(super) fn lanes(labels: &[Label]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..labels.len()).collect();
    order.sort_by(|&a, &b| labels[b].at.total_cmp(&labels[a].at).then(b.cmp(&a)));
    let mut lanes = vec![0; labels.len()];
    for (done, &index) in order.iter().enumerate() {
        let end = labels[index].at + labels[index].width;
        let within = order[..done].iter().filter(|&&later| labels[later].at <= end);
        lanes[index] = within.map(|&later| lanes[later] + 1).max().unwrap_or(0);
    }
    lanes
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn labels_that_are_apart_share_a_lane() {
        let label = |at| Label { at, width: 10.0 };
        assert_eq!(lanes(&[label(0.0), label(20.0), label(25.0), label(40.0)]), [0, 1, 0, 0]);
        assert_eq!(lanes(&[label(5.0), label(5.0)]), [1, 0]);
    }

    proptest! {
        #[test]
        fn no_label_is_covered_by_another_or_crossed_by_a_line(
            labels in prop::collection::vec((0.0f64..500.0, 5.0f64..120.0), 0..14)
        ) {
            let labels: Vec<Label> = labels.into_iter().map(|(at, width)| Label { at, width }).collect();
            let lanes = lanes(&labels);
            for (a, one) in labels.iter().enumerate() {
                for (b, other) in labels.iter().enumerate().filter(|(b, _)| *b != a) {
                    let begins_within = other.at >= one.at && other.at <= one.at + one.width;
                    // Of the same place, the first in the list is the higher one.
                    if begins_within && (other.at > one.at || b > a) {
                        prop_assert!(lanes[a] > lanes[b]);
                    }
                }
            }
        }
    }
}
