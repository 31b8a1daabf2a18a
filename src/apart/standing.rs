//! Who is there: one word, written by the door, read once a cycle by those who must know.

/// An agent that can live in a process of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Member {
    /// Market events and order updates in, intents out.
    Strategy = 0,
    /// Orders to the wire, reports from it.
    Gateway = 1,
}

impl Member {
    /// Both.
    pub const ALL: [Member; 2] = [Member::Strategy, Member::Gateway];

    /// Its name in tables and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Member::Strategy => "strategy",
            Member::Gateway => "gateway",
        }
    }

    /// By its name.
    pub fn named(name: &str) -> Option<Member> {
        Member::ALL.into_iter().find(|m| m.name() == name)
    }
}

/// Where a member is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Away {
    /// In the engine's process: it is there as long as the engine is.
    Never,
    /// Its process is there, the so-manieth.
    Here(u16),
    /// Nobody is there; so many have been.
    Since(u16),
}

/// Both members in one word. Half a word each: bit 0 = apart, bit 1 = here, bits 2..18 = how many have joined. Zero: both
/// are in the engine's process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing(pub u64);

impl Standing {
    fn half(self, member: Member) -> u32 {
        (self.0 >> (32 * member as u32)) as u32
    }

    fn with(self, member: Member, half: u32) -> Standing {
        let at = 32 * member as u32;
        Standing(self.0 & !(0xffff_ffff << at) | (half as u64) << at)
    }

    /// Where a member is.
    pub fn of(self, member: Member) -> Away {
        let half = self.half(member);
        let joins = (half >> 2) as u16;
        match half & 3 {
            0 | 2 => Away::Never,
            1 => Away::Since(joins),
            _ => Away::Here(joins),
        }
    }

    /// How many processes have joined as this member.
    pub fn joins(self, member: Member) -> u16 {
        (self.half(member) >> 2) as u16
    }

    /// This one lives apart, and nobody is there.
    #[must_use]
    pub fn gone(self, member: Member) -> Standing {
        self.with(member, u32::from(self.joins(member)) << 2 | 1)
    }

    /// The process of this number is there.
    #[must_use]
    pub fn here(self, member: Member, join: u16) -> Standing {
        self.with(member, u32::from(join) << 2 | 3)
    }

    /// Whether nobody is there.
    #[inline]
    pub fn is_away(self, member: Member) -> bool {
        self.half(member) & 3 == 1
    }

    /// Whether an intent of this source is the present strategy's.
    #[inline]
    pub fn hears(self, source: u16) -> bool {
        match self.of(Member::Strategy) {
            Away::Never => true,
            Away::Here(join) => join == source,
            Away::Since(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_told_apart_and_joins_are_kept() {
        let none = Standing::default();
        assert_eq!(Member::ALL.map(|m| none.of(m)), [Away::Never; 2]);
        assert!(none.hears(1) && none.hears(9) && !none.is_away(Member::Gateway));
        let apart = none.gone(Member::Strategy);
        assert_eq!(Member::ALL.map(|m| apart.of(m)), [Away::Since(0), Away::Never]);
        assert!(!apart.hears(0) && !apart.hears(1) && apart.is_away(Member::Strategy));
        let both = apart.gone(Member::Gateway).here(Member::Strategy, u16::MAX).here(Member::Gateway, 7);
        assert_eq!(Member::ALL.map(|m| both.of(m)), [Away::Here(u16::MAX), Away::Here(7)]);
        assert!(both.hears(u16::MAX) && !both.hears(7) && !both.is_away(Member::Gateway));
        let left = both.gone(Member::Gateway);
        assert_eq!(Member::ALL.map(|m| left.of(m)), [Away::Here(u16::MAX), Away::Since(7)]);
        assert_eq!(Member::ALL.map(|m| Member::named(m.name())), Member::ALL.map(Some));
    }
}
