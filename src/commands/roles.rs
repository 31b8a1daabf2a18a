//! Who may ask what.

use command::Role;
use topology::Control;

use super::peer::Peer;

/// Root; it can write the engine's memory anyway.
const ROOT: u32 = 0;

/// Users and groups by role; the engine's own user and root are operators.
#[derive(Clone, Debug)]
pub struct Roles {
    own_uid: u32,
    lists: Control,
}

impl Roles {
    /// As configured, for an engine of this user.
    pub fn new(own_uid: u32, lists: &Control) -> Roles {
        Roles { own_uid, lists: lists.clone() }
    }

    /// The engine's own user.
    pub fn own_uid(&self) -> u32 {
        self.own_uid
    }

    /// What this peer may do; `None` = nothing.
    pub fn of(&self, peer: &Peer) -> Option<Role> {
        let lists = &self.lists;
        let listed = |uids: &[u32], gids: &[u32]| uids.contains(&peer.uid) || gids.contains(&peer.gid);
        if peer.uid == self.own_uid || peer.uid == ROOT || listed(&lists.operator_uids, &lists.operator_gids)
        {
            Some(Role::Operator)
        } else if listed(&lists.observer_uids, &lists.observer_gids) {
            Some(Role::Observer)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_let_in_who_is_not_named() {
        let peer = |uid, gid| Peer { pid: 1, uid, gid };
        let bare = Roles::new(1_000, &Control::default());
        assert_eq!(bare.of(&peer(1_000, 5)), Some(Role::Operator));
        assert_eq!(bare.of(&peer(0, 0)), Some(Role::Operator));
        assert_eq!(bare.of(&peer(1_001, 1_000)), None, "a group of that number is no user");
        let lists = Control {
            operator_uids: vec![7],
            operator_gids: vec![70],
            observer_uids: vec![8, 7],
            observer_gids: vec![80],
            ..Control::default()
        };
        let roles = Roles::new(1_000, &lists);
        for (uid, gid, role) in [
            (7, 1, Some(Role::Operator)),
            (9, 70, Some(Role::Operator)),
            (8, 1, Some(Role::Observer)),
            (9, 80, Some(Role::Observer)),
            (8, 70, Some(Role::Operator)),
            (70, 7, None),
            (80, 8, None),
        ] {
            assert_eq!(roles.of(&peer(uid, gid)), role, "{uid} {gid}");
        }
    }
}
