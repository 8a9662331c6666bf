//! The two upper levels of a JSON text: what is there, where, and how many children it has.
//!
//! Made in the same pass that checks the text, so a frame's shape costs no second look at
//! its rows.

use std::ops::Range;

use super::scan::{self, Blind, Fault, Seen};
use super::token;
use super::{Kind, Raw};

/// Members beyond this many are checked but not remembered: what is looked for by name
/// stands among few, and a hostile body may hold millions.
const MEMBERS_MAX: usize = 512;

/// A text's upper levels, up to its end or its first fault.
#[derive(Debug)]
pub(crate) struct Outline {
    /// What the text is.
    pub(crate) kind: Kind,
    /// Its direct children.
    pub(crate) len: usize,
    /// Why it is not JSON, if it is not; what stands before the fault is here all the same.
    pub(crate) fault: Option<Fault>,
    /// What is in it that someone has to care about.
    pub(crate) seen: Seen,
    members: Vec<Member>,
}

/// A member of the top object, or of an object in it.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    /// Index of the member whose value holds this one; `None` at the top.
    parent: Option<usize>,
    key: Range<usize>,
    value: Range<usize>,
    /// Direct children, where the value is a container; as far as it goes.
    pub(crate) len: usize,
    /// Whether the value ended before the text did.
    pub(crate) whole: bool,
}

impl Outline {
    /// Reads `bytes` to the end or to the first fault.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let at = scan::space(bytes, 0);
        let mut outline = Self {
            kind: Kind::of(bytes.get(at).copied().unwrap_or(b'n')),
            len: 0,
            fault: None,
            seen: Seen::default(),
            members: Vec::new(),
        };
        let mut len = 0;
        let end = outline.value(bytes, at, None, &mut len);
        outline.len = len;
        outline.fault = match end.map(|end| scan::space(bytes, end)) {
            Ok(end) if end < bytes.len() => Some(Fault::Malformed),
            Ok(_) => None,
            Err(fault) => Some(fault),
        };
        outline
    }

    /// Whether every member of the two levels is remembered.
    pub(crate) fn is_complete(&self) -> bool {
        self.members.len() < MEMBERS_MAX
    }

    /// The top object's member of this name.
    pub(crate) fn member(&self, bytes: &[u8], name: &str) -> Option<&Member> {
        self.find(bytes, None, name)
    }

    /// A member one level down.
    pub(crate) fn inner(&self, bytes: &[u8], outer: &str, name: &str) -> Option<&Member> {
        let is_outer = |member: &Member| member.parent.is_none() && member.is(bytes, outer);
        let outer = self.members.iter().position(is_outer)?;
        self.find(bytes, Some(outer), name)
    }

    /// The members of the top object's member of this name.
    pub(crate) fn inner_members(&self, bytes: &[u8], outer: &str) -> impl Iterator<Item = &Member> {
        let is_outer = |member: &Member| member.parent.is_none() && member.is(bytes, outer);
        let outer = self.members.iter().position(is_outer);
        let of = move |member: &&Member| outer.is_some() && member.parent == outer;
        self.members.iter().filter(of)
    }

    /// The top object's members that are whole.
    pub(crate) fn whole_members<'a>(
        &self,
        bytes: &'a [u8],
    ) -> impl Iterator<Item = (&'a [u8], Raw<'a>)> {
        let top = |member: &&Member| member.parent.is_none() && member.whole;
        let members = self.members.iter().filter(top);
        members.filter_map(|member| Some((member.key(bytes), member.raw(bytes)?)))
    }

    /// The value of the top object's member of this name, if it is whole.
    pub(crate) fn get<'a>(&self, bytes: &'a [u8], name: &str) -> Option<Raw<'a>> {
        self.member(bytes, name)
            .filter(|member| member.whole)?
            .raw(bytes)
    }

    fn find(&self, bytes: &[u8], parent: Option<usize>, name: &str) -> Option<&Member> {
        self.members
            .iter()
            .find(|member| member.parent == parent && member.is(bytes, name))
    }

    /// Past one value; enters it if it is the top or an object right under it.
    fn value(
        &mut self,
        bytes: &[u8],
        at: usize,
        parent: Option<usize>,
        len: &mut usize,
    ) -> Result<usize, Fault> {
        match bytes.get(at) {
            Some(b'{') => self.object(bytes, at, parent, len),
            Some(b'[') => self.array(bytes, at, len),
            _ => scan::value(bytes, at, &mut self.seen),
        }
    }

    /// `parent` is the member that the object is the value of: the levels below the second are
    /// passed over.
    fn object(
        &mut self,
        bytes: &[u8],
        at: usize,
        parent: Option<usize>,
        len: &mut usize,
    ) -> Result<usize, Fault> {
        let mut at = scan::space(bytes, at + 1);
        if bytes.get(at) == Some(&b'}') {
            return Ok(at + 1);
        }
        loop {
            let value = scan::key(bytes, at, &mut self.seen)?;
            *len += 1;
            let index = self.remember(bytes, at, value, parent);
            let mut children = 0;
            let end = match (bytes.get(value), parent, index) {
                (Some(b'['), _, _) => self.array(bytes, value, &mut children),
                (Some(b'{'), None, Some(_)) => self.object(bytes, value, index, &mut children),
                _ => scan::value(bytes, value, &mut self.seen),
            };
            if let Some(member) = index.and_then(|index| self.members.get_mut(index)) {
                member.len = children;
                member.whole = end.is_ok();
                member.value.end = end.unwrap_or(bytes.len());
            }
            at = scan::space(bytes, end?);
            match bytes.get(at) {
                Some(b',') => at = scan::space(bytes, at + 1),
                Some(b'}') => return Ok(at + 1),
                Some(_) => return Err(Fault::Malformed),
                None => return Err(Fault::Torn),
            }
        }
    }

    fn array(&mut self, bytes: &[u8], at: usize, len: &mut usize) -> Result<usize, Fault> {
        let first = scan::space(bytes, at + 1);
        if bytes.get(first) == Some(&b']') {
            return Ok(first + 1);
        }
        scan::counted(bytes, at, &mut self.seen, len)
    }

    fn remember(
        &mut self,
        bytes: &[u8],
        key: usize,
        value: usize,
        parent: Option<usize>,
    ) -> Option<usize> {
        if self.members.len() >= MEMBERS_MAX {
            return None;
        }
        let key_end = token::string(bytes, key, &mut Blind).unwrap_or(key + 2) - 1;
        self.members.push(Member {
            parent,
            key: key + 1..key_end,
            value: value..value,
            len: 0,
            whole: false,
        });
        Some(self.members.len() - 1)
    }
}

impl Member {
    /// The value's text, cut where the body was.
    pub(crate) fn raw<'a>(&self, bytes: &'a [u8]) -> Option<Raw<'a>> {
        bytes.get(self.value.clone()).map(Raw)
    }

    /// The key as written, without its quotes.
    pub(crate) fn key<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        bytes.get(self.key.clone()).unwrap_or_default()
    }

    fn is(&self, bytes: &[u8], name: &str) -> bool {
        self.key(bytes) == name.as_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: &[u8] = br#"{"dataframe_split": {"columns": ["a", "b"],
        "data": [[1, 2], [3, 4], [5, 6]], "deep": {"x": 1}}, "params": null}"#;

    #[test]
    fn two_levels_are_measured_in_one_pass() {
        let outline = Outline::of(FRAME);
        assert_eq!(
            (outline.fault, outline.kind, outline.len),
            (None, Kind::Object, 2)
        );
        let data = outline.inner(FRAME, "dataframe_split", "data").unwrap();
        assert_eq!((data.len, data.whole), (3, true));
        assert_eq!(
            outline
                .inner(FRAME, "dataframe_split", "columns")
                .unwrap()
                .len,
            2
        );
        let params = outline.whole_members(FRAME).last();
        assert_eq!(params, Some((b"params".as_slice(), Raw(b"null"))));
        assert!(outline.inner(FRAME, "deep", "x").is_none());
        assert_eq!(outline.inner_members(FRAME, "dataframe_split").count(), 3);
        assert_eq!(outline.inner_members(FRAME, "absent").count(), 0);
    }

    #[test]
    fn a_torn_text_tells_what_stands_before_the_tear() {
        let cut = &FRAME[..80];
        let outline = Outline::of(cut);
        assert_eq!(outline.fault, Some(Fault::Torn));
        let data = outline.inner(cut, "dataframe_split", "data").unwrap();
        assert_eq!((data.len, data.whole), (2, false));
        assert_eq!(outline.whole_members(cut).count(), 0);
    }

    #[test]
    fn outline_and_document_agree_on_every_cut_and_every_damage() {
        for end in 0..=FRAME.len() {
            let fault = crate::decode::json::document(&FRAME[..end]).err();
            assert_eq!(Outline::of(&FRAME[..end]).fault, fault, "cut at {end}");
        }
        for at in 0..FRAME.len() {
            let mut damaged = FRAME.to_vec();
            damaged[at] ^= 0x55;
            let fault = crate::decode::json::document(&damaged).err();
            assert_eq!(
                Outline::of(&damaged).fault.is_some(),
                fault.is_some(),
                "damaged at {at}"
            );
        }
    }

    #[test]
    fn members_remembered_are_bounded() {
        let many: Vec<String> = (0..10_000)
            .map(|n| format!("\"k{n}\":{{\"x\":1}}"))
            .collect();
        let text = format!("{{{}}}", many.join(","));
        let outline = Outline::of(text.as_bytes());
        assert_eq!((outline.fault, outline.len), (None, 10_000));
        assert_eq!(outline.members.len(), MEMBERS_MAX);
    }
}
