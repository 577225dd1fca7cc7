//! Interleavings held against serial runs, on the page: the sentence, the differences, the matrix with its proofs.

use minijinja::context;

use crate::report::format::visible;
use crate::report::{AsIfSerialReport, PairResult};

/// What the template shows.
pub(super) fn context(serial: &AsIfSerialReport) -> minijinja::Value {
    let text = |text: &str| visible(text).into_owned();
    let names = AsIfSerialReport::names(&serial.pairs);
    let row = |name: &String| {
        let cells = names.iter().map(|other| AsIfSerialReport::cell(&serial.pairs, name, other)).collect::<Vec<_>>();
        context! { name => text(name), cells }
    };
    context! {
        sentence => text(&serial.sentence()),
        sentences => serial.sentences.iter().map(|one| text(one)).collect::<Vec<_>>(),
        in_words => text(&serial.in_words),
        nearest => text(&serial.nearest),
        differences => serial.differences.iter()
            .map(|one| context! { place => text(&one.place), serially => text(&one.serially), here => text(&one.here) })
            .collect::<Vec<_>>(),
        not_compared => serial.not_compared.iter().map(|one| text(one)).collect::<Vec<_>>().join(", "),
        notes => serial.notes.iter().map(|one| text(one)).collect::<Vec<_>>(),
        legend => PairResult::LEGEND,
        names => names.iter().map(|name| text(name)).collect::<Vec<_>>(),
        rows => names.iter().map(row).collect::<Vec<_>>(),
        pairs => serial.pairs.iter().map(|pair| context! {
            mark => pair.mark(),
            names => text(&pair.operations.join(" against ")),
            proof => text(&pair.in_words),
            schedule => text(&pair.schedule),
            replay => text(&pair.replay),
        }).collect::<Vec<_>>(),
    }
}
