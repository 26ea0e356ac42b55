//! What a plot is made of.

use super::*;

fn plot() -> Plot {
    let up = Series::new("good", Ink::Good, Shape::Up, -10.0, 10.0, vec![5.0, 0.0, 5.0]);
    let down = Series::new("reset", Ink::Failed(0), Shape::Down, -10.0, 10.0, vec![0.0, 3.0]);
    Plot::new("A <title>", "What is to be seen.", (-10.0, 20.0), Unit::SinceMs)
        .panel(Panel::new("requests", Unit::Count, 160.0).series(up).series(down))
        .mark(Mark::new(0.0, "fault").strong())
        .band(Band::dark(0.0, 10.0, "gap 10 ms"))
}

#[test]
fn a_plot_has_words_for_those_who_do_not_see_it() {
    let figure = plot().figure().into_string();
    assert!(figure.contains("<title>A &lt;title&gt;</title><desc>What is to be seen.</desc>"), "{figure}");
    assert!(figure.contains("role=\"img\""));
}

#[test]
fn every_series_is_in_the_legend_and_on_the_drawing() {
    let figure = plot().figure().into_string();
    for part in ["good</li>", "reset</li>", "class=\"i-good\"", "class=\"i-bad0\"", ">fault<", ">gap 10 ms<"]
    {
        assert!(figure.contains(part), "{part} in {figure}");
    }
}

#[test]
fn a_plot_of_nothing_is_a_plot() {
    let empty = Series::new("good", Ink::Good, Shape::Up, 0.0, 10.0, vec![]);
    let panel = Panel::new("requests", Unit::Count, 100.0).series(empty).limit(f64::NAN, "none");
    let figure = Plot::new("t", "d", (0.0, 0.0), Unit::Ms).panel(panel).figure().into_string();
    assert!(!figure.contains("NaN") && !figure.contains("inf"), "{figure}");
}

#[test]
fn a_thousand_slots_take_a_few_bytes_each() {
    let values = (0..900).map(|n| f64::from(n * 7 % 11)).collect();
    let series = Series::new("good", Ink::Good, Shape::Up, 0.0, 10.0, values);
    let panel = Panel::new("requests", Unit::Count, 100.0).series(series);
    let figure = Plot::new("t", "d", (0.0, 9000.0), Unit::Ms).panel(panel).figure().into_string();
    assert!(figure.len() < 14_000, "{}", figure.len());
}
