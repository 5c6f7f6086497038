//! A map whose entries have small numbers besides their keys. Keys are texts, and comparing texts is most of the work where
//! there are a hundred thousand of them: a key is looked up once, where it comes in, and from then on its number stands for
//! it.
//!
//! Numbers depend on the order in which keys came, so nothing that leaves the engine may depend on them: whatever is told or
//! stored goes by [`Table::iter`] and [`Table::sort`], in the order of the keys. Hashing is without a seed, and no hash
//! decides on any order.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::marker::PhantomData;
use std::sync::Arc;

/// The number of a key in its table. It stays the same until the entry is removed; then another key may get it.
pub struct Id<K> {
    index: u32,
    of: PhantomData<fn() -> K>,
}

impl<K> Id<K> {
    fn new(index: usize) -> Self {
        Self {
            index: index as u32,
            of: PhantomData,
        }
    }

    /// As a place in a list.
    #[must_use]
    pub const fn index(self) -> usize {
        self.index as usize
    }
}

// Derived, these would ask the same of the key.
impl<K> Clone for Id<K> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K> Copy for Id<K> {}

impl<K> PartialEq for Id<K> {
    fn eq(&self, other: &Self) -> bool {
        self.index == other.index
    }
}

impl<K> Eq for Id<K> {}

impl<K> PartialOrd for Id<K> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<K> Ord for Id<K> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.index.cmp(&other.index)
    }
}

impl<K> Hash for Id<K> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.index.hash(state);
    }
}

impl<K> fmt::Debug for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.index)
    }
}

/// A map whose entries have numbers.
#[derive(Clone, Debug)]
pub struct Table<K, V> {
    numbers: HashMap<Arc<K>, Id<K>, BuildHasherDefault<DefaultHasher>>,
    in_order: BTreeMap<Arc<K>, Id<K>>,
    entries: Vec<Option<(Arc<K>, V)>>,
    free: Vec<Id<K>>,
}

impl<K, V> Default for Table<K, V> {
    fn default() -> Self {
        Self {
            numbers: HashMap::default(),
            in_order: BTreeMap::new(),
            entries: Vec::new(),
            free: Vec::new(),
        }
    }
}

impl<K, V> Table<K, V> {
    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.numbers.len()
    }

    /// Whether there is no entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.numbers.is_empty()
    }

    /// The key of this number.
    #[must_use]
    pub fn key(&self, id: Id<K>) -> Option<&Arc<K>> {
        self.entries.get(id.index())?.as_ref().map(|(key, _)| key)
    }

    /// The value of this number.
    #[must_use]
    pub fn at(&self, id: Id<K>) -> Option<&V> {
        self.entries.get(id.index())?.as_ref().map(|(_, value)| value)
    }

    /// The value of this number, to be changed.
    pub fn at_mut(&mut self, id: Id<K>) -> Option<&mut V> {
        self.entries.get_mut(id.index())?.as_mut().map(|(_, value)| value)
    }

    /// Every entry, in the order of the keys.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.in_order
            .iter()
            .filter_map(|(key, id)| Some((key.as_ref(), self.at(*id)?)))
    }

    /// Every number, in the order of the keys.
    pub fn ids(&self) -> impl Iterator<Item = Id<K>> {
        self.in_order.values().copied()
    }
}

impl<K: Ord + Hash, V> Table<K, V> {
    /// The number of this key.
    #[must_use]
    pub fn id(&self, key: &K) -> Option<Id<K>> {
        self.numbers.get(key).copied()
    }

    /// The value of this key.
    #[must_use]
    pub fn get(&self, key: &K) -> Option<&V> {
        self.at(self.id(key)?)
    }

    /// The value of this key, to be changed.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.at_mut(self.id(key)?)
    }

    /// The number of this key, which gets an entry if it has none.
    pub fn enter(&mut self, key: K) -> Id<K>
    where
        V: Default,
    {
        if let Some(id) = self.id(&key) {
            return id;
        }
        let id = self.free.pop().unwrap_or_else(|| {
            self.entries.push(None);
            Id::new(self.entries.len() - 1)
        });
        let key = Arc::new(key);
        if let Some(entry) = self.entries.get_mut(id.index()) {
            *entry = Some((Arc::clone(&key), V::default()));
        }
        self.in_order.insert(Arc::clone(&key), id);
        self.numbers.insert(key, id);
        id
    }

    /// Removes an entry. Whoever remembers its number has to forget it before.
    pub fn remove(&mut self, id: Id<K>) -> Option<V> {
        let (key, value) = self.entries.get_mut(id.index())?.take()?;
        self.numbers.remove(key.as_ref());
        self.in_order.remove(key.as_ref());
        self.free.push(id);
        Some(value)
    }

    /// Puts numbers into the order of their keys, each once. Where they are many, a walk over all keys costs less than
    /// comparing them.
    pub fn sort(&self, ids: &mut Vec<Id<K>>) {
        if ids.len() < self.len() / 8 {
            ids.sort_by(|a, b| self.key(*a).cmp(&self.key(*b)));
            ids.dedup();
            return;
        }
        let mut wanted = vec![false; self.entries.len()];
        for id in ids.drain(..) {
            if let Some(wanted) = wanted.get_mut(id.index()) {
                *wanted = true;
            }
        }
        ids.extend(self.ids().filter(|id| wanted.get(id.index()) == Some(&true)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(keys: &[&str]) -> Table<String, i32> {
        let mut table = Table::default();
        for (value, key) in keys.iter().enumerate() {
            let id = table.enter((*key).to_owned());
            *table.at_mut(id).unwrap() = value as i32;
        }
        table
    }

    #[test]
    fn goes_in_the_order_of_the_keys_whatever_came_first() {
        let keys: Vec<_> = table(&["c", "a", "b"]).iter().map(|(k, v)| (k.clone(), *v)).collect();
        assert_eq!(keys, [("a".into(), 1), ("b".into(), 2), ("c".into(), 0)]);
    }

    #[test]
    fn a_number_stays_until_its_entry_goes_and_is_used_again() {
        let mut table = table(&["a", "b"]);
        let (a, b) = (table.id(&"a".into()).unwrap(), table.id(&"b".into()).unwrap());
        assert_eq!(table.enter("a".into()), a);
        assert_eq!(table.remove(a), Some(0));
        assert_eq!((table.at(a), table.key(a)), (None, None));
        assert_eq!(table.remove(a), None);
        assert_eq!(table.enter("c".into()), a);
        assert_eq!((table.len(), table.id(&"b".into())), (2, Some(b)));
        assert_eq!(table.get(&"a".into()), None);
    }

    #[test]
    fn few_and_many_are_sorted_alike() {
        let keys: Vec<String> = (0..100).map(|i| format!("{:02}", (i * 37) % 100)).collect();
        let table = table(&keys.iter().map(String::as_str).collect::<Vec<_>>());
        for count in [0, 1, 5, 11, 12, 13, 50, 100] {
            let mut ids: Vec<_> = keys.iter().rev().take(count).map(|k| table.id(k).unwrap()).collect();
            ids.extend(ids.clone());
            table.sort(&mut ids);
            let sorted: Vec<_> = ids.iter().map(|id| table.key(*id).unwrap().to_string()).collect();
            let mut expected: Vec<_> = keys.iter().rev().take(count).cloned().collect();
            expected.sort();
            assert_eq!(sorted, expected);
        }
    }
}
