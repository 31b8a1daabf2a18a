//! What travels: 64 bytes on a cache line of their own, every word of them a function of the record's number.

/// One record, given to every candidate in the alignment that suits it best.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C, align(64))]
pub(crate) struct Record(pub(crate) [u64; 8]);

/// Bytes of a record.
#[cfg(feature = "aeron")]
pub(crate) const BYTES: usize = size_of::<Record>();

impl Record {
    /// Record number `n`: its last word is `n`, every other one `n` with its own mark in the highest byte. Records
    /// and words are told apart for every `n` below 2^56.
    #[inline(always)]
    pub(crate) fn number(n: u64) -> Record {
        Record(std::array::from_fn(|i| word(n, i)))
    }

    /// As bytes, for what carries bytes only.
    #[cfg(feature = "aeron")]
    #[inline(always)]
    pub(crate) fn to_bytes(self) -> [u8; BYTES] {
        let mut bytes = [0; BYTES];
        for (to, word) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(self.0) {
            *to = word.to_ne_bytes();
        }
        bytes
    }

    /// From bytes; `None` when they are not as many as a record has.
    #[cfg(feature = "aeron")]
    #[inline(always)]
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Record> {
        let bytes: &[u8; BYTES] = bytes.try_into().ok()?;
        let words = bytes.as_chunks::<8>().0;
        Some(Record(std::array::from_fn(|i| u64::from_ne_bytes(words[i]))))
    }
}

/// The bits in which these words are not those of record number `n`; zero when they are. Word by word, for a whole
/// record built to compare with goes through memory in pieces, and costs more than some of what is measured here.
#[inline(always)]
pub(crate) fn differs(words: &[u64; 8], n: u64) -> u64 {
    words.iter().enumerate().fold(0, |bits, (i, got)| bits | (got ^ word(n, i)))
}

/// Word `i` of record `n`.
#[inline(always)]
fn word(n: u64, i: usize) -> u64 {
    n ^ ((7 - i as u64) << 56)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_of_every_record_is_its_own() {
        for n in [0, 1, 31, 1 << 20] {
            let record = Record::number(n);
            assert_eq!(differs(&record.0, n), 0);
            assert_ne!(differs(&record.0, n + 1), 0);
            for i in 0..8 {
                let mut torn = record;
                torn.0[i] = Record::number(n + 1024).0[i];
                assert_ne!(differs(&torn.0, n), 0, "word {i} of another lap");
                torn = record;
                torn.0.swap(i, (i + 1) % 8);
                assert_ne!(differs(&torn.0, n), 0, "words {i} and the next swapped");
            }
        }
    }
}
