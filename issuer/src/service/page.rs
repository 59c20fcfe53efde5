/// A part of a list.
pub(crate) struct Page<T> {
    pub(crate) items: Vec<T>,
    /// There are more.
    pub(crate) is_cut: bool,
}

impl<T> Page<T> {
    /// Makes a page of `most` items from a list that has one more if there are more.
    pub(super) fn of(mut items: Vec<T>, most: u32) -> Self {
        let most = most as usize;
        let is_cut = items.len() > most;
        items.truncate(most);
        Self { items, is_cut }
    }
}
