//! Texts and inputs that nobody wrote. The fuzz targets `rego_policy` and `rego_input` ask the same
//! for longer.

use std::path::Path;

use fastrand::Rng;

use crate::promises;

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
    let mut files: Vec<_> = std::fs::read_dir(folder.join(target))
        .unwrap()
        .map(|file| file.unwrap().path())
        .collect();
    files.sort();
    assert!(files.len() >= 3, "{files:?}");
    files
        .iter()
        .map(|file| std::fs::read(file).unwrap())
        .collect()
}

/// A text in which something is cut, doubled, or put in from elsewhere.
fn mutated(rng: &mut Rng, texts: &[Vec<u8>]) -> Vec<u8> {
    const PIECES: [&[u8]; 14] = [
        b"{",
        b"}",
        b"[_]",
        b"not ",
        b"(",
        b")",
        b"\"",
        b"\n",
        b":= ",
        b"null",
        b"-1e999",
        b"with input as ",
        b"data.inventory",
        b"\xc3\xa4",
    ];
    let mut text = texts[rng.usize(..texts.len())].clone();
    for _ in 0..=rng.usize(..4) {
        let at = rng.usize(..=text.len());
        let end = (at + rng.usize(..12)).min(text.len());
        match rng.u8(..4) {
            0 => drop(text.drain(at..end)),
            1 => {
                let piece = text[at..end].to_vec();
                text.splice(at..at, piece);
            }
            2 => drop(text.splice(at..at, PIECES[rng.usize(..PIECES.len())].iter().copied())),
            _ => {
                let other = &texts[rng.usize(..texts.len())];
                let from = rng.usize(..=other.len());
                let to = (from + rng.usize(..30)).min(other.len());
                text.splice(at..end, other[from..to].iter().copied());
            }
        }
    }
    text
}

#[test]
fn policies_that_nobody_wrote_are_refused_or_answer() {
    let texts = corpus("rego_policy");
    let mut rng = Rng::with_seed(crate::differential::seed());
    let made: Vec<Vec<u8>> = (0..150).map(|_| mutated(&mut rng, &texts)).collect();
    for text in texts.iter().chain(&made) {
        promises::of_policy(&String::from_utf8_lossy(text));
    }
}

#[test]
fn inputs_that_nobody_sent_are_answered() {
    let texts = corpus("rego_input");
    let mut rng = Rng::with_seed(crate::differential::seed());
    let made: Vec<Vec<u8>> = (0..2_000).map(|_| mutated(&mut rng, &texts)).collect();
    for text in texts.iter().chain(&made) {
        promises::of_input(text);
    }
}
