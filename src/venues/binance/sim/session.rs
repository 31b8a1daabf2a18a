//! What a connection of the WebSocket API is to the venue: who has logged on, and what it hears of the account.

use super::auth::Claim;
use super::calls::Call;
use super::conns::{ApiConn, Conn};
use super::params::Params;
use super::reject::Reject;
use super::{BinanceSim, ConnId, Out, Outbox};
use wire::Ts;

impl BinanceSim {
    /// Performs a request about the connection that it came by.
    pub(super) fn session(
        &mut self,
        conn: ConnId,
        call: Call,
        params: &mut Params,
        claim: &Claim<'_>,
        now: Ts,
        out: &mut Outbox,
    ) -> Result<Vec<u8>, Reject> {
        let key = params.peek("apiKey").unwrap_or_default().to_string();
        self.admit(call, params, claim, now)?;
        let wanted = if call == Call::Unsubscribe { params.integer("subscriptionId")? } else { None };
        params.all_read()?;
        let may_log_on = self.keyring.may_log_on(&key);
        let Some(Conn::Api(api)) = self.conns.get_mut(conn) else { return Err(Reject::UNSUPPORTED) };
        match call {
            Call::Logon if !may_log_on => Err(Reject::SIGNATURE),
            Call::Logon => {
                api.logon = Some((key, now));
                Ok(api.status(now))
            }
            Call::Session => Ok(api.status(now)),
            Call::Logout => {
                api.logon = None;
                if api.by_logon {
                    api.end_subscription(conn, now, out);
                }
                Ok(api.status(now))
            }
            Call::Subscribe if api.logon.is_none() => Err(Reject::UNAUTHORIZED),
            Call::Subscribe | Call::SubscribeSigned => {
                if api.subscription.is_some() {
                    return Err(Reject::SUBSCRIPTION_ACTIVE);
                }
                let id = api.subscriptions_made;
                api.subscription = Some(id);
                api.by_logon = call == Call::Subscribe;
                api.subscriptions_made += 1;
                Ok(format!(r#"{{"subscriptionId":{id}}}"#).into_bytes())
            }
            Call::Unsubscribe => match (api.subscription, wanted) {
                (Some(id), wanted) if wanted.is_none_or(|w| w == id as u64) => {
                    api.end_subscription(conn, now, out);
                    Ok(b"{}".to_vec())
                }
                _ => Err(Reject::SUBSCRIPTION_INACTIVE),
            },
            _ => Ok(match api.subscription {
                Some(id) => format!(r#"[{{"subscriptionId":{id}}}]"#).into_bytes(),
                None => b"[]".to_vec(),
            }),
        }
    }

    /// Ends the session of a key that is no longer known; the answer that says so.
    pub(super) fn revoked(&mut self, conn: ConnId, logon_key: Option<&str>) -> Option<Out> {
        if self.keyring.knows(logon_key?) {
            return None;
        }
        if let Some(Conn::Api(api)) = self.conns.get_mut(conn) {
            api.logon = None;
        }
        let mut payload = br#"{"id":null,"status":401,"error":"#.to_vec();
        payload.extend(Reject::KEY.bare());
        payload.push(b'}');
        Some(Out::Text { conn, payload })
    }
}

impl ApiConn {
    /// The result of `session.status`, `session.logon` and `session.logout`.
    fn status(&self, now: Ts) -> Vec<u8> {
        let (key, since) = match &self.logon {
            Some((key, since)) => (format!("\"{key}\""), self.unit.of(*since).to_string()),
            None => ("null".to_string(), "null".to_string()),
        };
        format!(
            concat!(
                r#"{{"apiKey":{},"authorizedSince":{},"connectedSince":{},"returnRateLimits":{},"serverTime":{},"#,
                r#""userDataStream":{}}}"#
            ),
            key,
            since,
            self.unit.of(self.opened),
            self.rate_limits,
            self.unit.of(now),
            self.subscription.is_some()
        )
        .into_bytes()
    }

    /// Ends the subscription and says so.
    fn end_subscription(&mut self, conn: ConnId, now: Ts, out: &mut Outbox) {
        self.by_logon = false;
        let Some(id) = self.subscription.take() else { return };
        let at = self.unit.of(now);
        let payload =
            format!(r#"{{"subscriptionId":{id},"event":{{"e":"eventStreamTerminated","E":{at}}}}}"#);
        out.push(Out::Text { conn, payload: payload.into_bytes() });
    }
}
