//! What a GitSource says of itself, written only when it changed; and the Events and metrics that go with it.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time as MetaTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use serde_json::json;

use super::Surroundings;
use super::trouble::Trouble;
use crate::api::GitSourceStatus;
use crate::api::common::Condition;
use crate::core::names::{ObjectRef, PolicyKey, PolicyKind, Uid};
use crate::edge::clock;
use crate::edge::kube::events::Notice;
use crate::edge::kube::status::resource_of;
use crate::edge::kube::{FIELD_MANAGER, call};

/// The schema refuses longer messages.
const MESSAGE_MAX: usize = 1000;

/// Keeps the status of one source.
pub(super) struct StatusKeeper {
    around: Surroundings,
    source: PolicyKey,
    uid: String,
    generation: i64,
    status: GitSourceStatus,
}

impl StatusKeeper {
    pub fn new(around: Surroundings, source: PolicyKey) -> Self {
        Self {
            around,
            source,
            uid: String::new(),
            generation: 0,
            status: GitSourceStatus::default(),
        }
    }

    /// The status as it is stored now. Of one that does not fit (another version wrote it) the parts that do are kept: what
    /// is not known to have been applied is never deleted.
    pub async fn load(&mut self) -> Result<(), Trouble> {
        let object = call(format!("read {}", self.source), self.api().get(&self.source.name)).await;
        let object = object.map_err(|e| Trouble::retry("APIUnavailable", e.to_string()))?;
        let stored = object.data.get("status").cloned().unwrap_or_else(|| json!({}));
        self.status = serde_json::from_value(stored.clone()).unwrap_or_else(|error| {
            tracing::warn!(source = %self.source, %error, "the stored status does not fit: taken over in part");
            let text = |field: &str| stored[field].as_str().map(str::to_owned);
            GitSourceStatus {
                last_attempted_revision: text("lastAttemptedRevision"),
                last_applied_revision: text("lastAppliedRevision"),
                last_handled_reconcile_at: text("lastHandledReconcileAt"),
                conditions: serde_json::from_value(stored["conditions"].clone()).unwrap_or_default(),
                inventory: serde_json::from_value(stored["inventory"].clone()).ok(),
                ..GitSourceStatus::default()
            }
        });
        Ok(())
    }

    /// From now on the status speaks of this object.
    pub fn speak_of(&mut self, uid: &str, generation: i64) {
        uid.clone_into(&mut self.uid);
        self.generation = generation;
    }

    pub fn get(&self) -> &GitSourceStatus {
        &self.status
    }

    fn condition(&self, kind: &str) -> Option<&Condition> {
        self.status.conditions.iter().find(|c| c.type_ == kind)
    }

    /// All is well.
    pub async fn ready(
        &mut self,
        reason: &str,
        message: &str,
        change: impl FnOnce(&mut GitSourceStatus),
    ) -> Result<(), Trouble> {
        let recovered = self.condition("Ready").is_some_and(|c| c.status == "False");
        let conditions = vec![self.make("Ready", "True", reason, message)];
        self.write(conditions, change).await?;
        if recovered {
            self.notify(false, reason, message);
        }
        Ok(())
    }

    /// Something new is being applied.
    pub async fn progressing(
        &mut self,
        message: &str,
        change: impl FnOnce(&mut GitSourceStatus),
    ) -> Result<(), Trouble> {
        let conditions = vec![
            self.make("Ready", "Unknown", "Progressing", message),
            self.make("Reconciling", "True", "Progressing", message),
        ];
        self.write(conditions, change).await
    }

    /// Something is not as it should be.
    pub async fn trouble(
        &mut self,
        trouble: &Trouble,
        change: impl FnOnce(&mut GitSourceStatus),
    ) -> Result<(), Trouble> {
        let (reason, message) = (trouble.reason.as_str(), trouble.message.as_str());
        let known = self.condition("Ready").filter(|c| c.reason == reason);
        let news = known.is_none_or(|c| trouble.stalled && c.message != shortened(message));
        let other = if trouble.stalled { "Stalled" } else { "Reconciling" };
        let conditions = vec![
            self.make("Ready", "False", reason, message),
            self.make(other, "True", reason, message),
        ];
        self.write(conditions, change).await?;
        if news {
            self.notify(true, reason, message);
        }
        Ok(())
    }

    /// Changes what is stored, and leaves the conditions as they are.
    pub async fn update(&mut self, change: impl FnOnce(&mut GitSourceStatus)) -> Result<(), Trouble> {
        let conditions = self.status.conditions.clone();
        self.write(conditions, change).await
    }

    fn make(&self, kind: &str, status: &str, reason: &str, message: &str) -> Condition {
        let now = Timestamp::from_second(clock::now().as_millis() / 1000).unwrap_or_default();
        let since = self
            .condition(kind)
            .filter(|c| c.status == status)
            .map(|c| c.last_transition_time.clone());
        Condition {
            type_: kind.into(),
            status: status.into(),
            reason: reason.into(),
            message: shortened(message),
            last_transition_time: since.unwrap_or(MetaTime(now)),
            observed_generation: Some(self.generation),
        }
    }

    async fn write(
        &mut self,
        conditions: Vec<Condition>,
        change: impl FnOnce(&mut GitSourceStatus),
    ) -> Result<(), Trouble> {
        let mut new = self.status.clone();
        new.conditions = conditions;
        new.observed_generation = Some(self.generation);
        change(&mut new);
        if new == self.status {
            return Ok(());
        }
        if !self.around.leadership.is_leader_now() {
            return Err(Trouble::not_leading());
        }
        let resource = resource_of(PolicyKind::GitSource);
        let patch = Patch::Apply(json!({
            "apiVersion": resource.api_version, "kind": resource.kind,
            "metadata": {"name": self.source.name, "uid": self.uid},
            "status": new,
        }));
        let params = PatchParams::apply(FIELD_MANAGER).force();
        let what = format!("write the status of {}", self.source);
        let written = call(what, self.api().patch_status(&self.source.name, &params, &patch)).await;
        written.map_err(|e| Trouble::retry("StatusNotWritten", e.to_string()))?;
        self.status = new;
        Ok(())
    }

    fn api(&self) -> Api<DynamicObject> {
        let resource = resource_of(PolicyKind::GitSource);
        Api::namespaced_with(self.around.client.clone(), &self.source.namespace, &resource)
    }

    /// Tells people, by an Event and in the log.
    pub fn notify(&self, warning: bool, reason: &str, message: &str) {
        let resource = resource_of(PolicyKind::GitSource);
        self.around.notices.send(Notice {
            regarding: ObjectRef::new(
                &resource.api_version,
                &resource.kind,
                &self.source.namespace,
                &self.source.name,
            ),
            uid: Some(Uid(self.uid.clone())),
            related: None,
            related_uid: None,
            warning,
            reason: reason.into(),
            action: "Sync".into(),
            note: message.into(),
            at: clock::now(),
            trace: None,
        });
        if warning {
            tracing::warn!(source = %self.source, reason, message, "sync");
        } else {
            tracing::info!(source = %self.source, reason, message, "sync");
        }
    }
}

fn shortened(message: &str) -> String {
    message.chars().take(MESSAGE_MAX).collect()
}
