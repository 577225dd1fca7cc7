//! [`Service`]: the connection, the collections and their indexes.

use std::sync::Arc;
use std::time::Duration;

use futures::TryStreamExt;
use mongodb::bson::{Bson, Document, doc};
use mongodb::options::IndexOptions;
use mongodb::{Collection, Database, IndexModel};

use super::planted::Room;
use super::tasks::Tasks;
use super::{ServiceError, Settings};
use crate::strategy::MemoryLocks;
use crate::strategy::append::{self, Sessions};
use crate::strategy::create_or_get::{self, Chats};
use crate::strategy::merge::{self, UserChats};
use crate::strategy::thread::{self, Threads};
use crate::target::mongo::{Connected, PoolOptions};
use crate::target::{Guard, MongoUri, TargetError};

/// One instance of the service, connected.
#[derive(Debug)]
pub struct Service {
    pub(super) settings: Settings,
    pub(super) connected: Connected,
    pub(super) chats: Chats,
    pub(super) sessions: Sessions,
    pub(super) user_chats: UserChats,
    pub(super) tasks: Tasks,
    pub(super) threads: Threads,
    pub(super) planted: Option<Arc<Room>>,
}

impl Service {
    /// Connects, fills the pool, and creates the indexes that are asked for.
    ///
    /// # Errors
    /// When the server is out of reach or refused, or when a unique index is there that was not asked for.
    pub async fn connect(uri: &MongoUri, guard: &Guard, settings: Settings) -> Result<Arc<Self>, ServiceError> {
        guard.check_database(&settings.database).map_err(TargetError::from)?;
        // As drivers have it by default, and so most services.
        let retry_writes = settings.planted.is_none_or(|planted| planted.mutant.retry_writes);
        let pool = PoolOptions { connections: settings.pool.max(1), retry_writes, retry_reads: true };
        let connected = Connected::open(uri, guard, pool).await?;
        let database = connected.client.database(&settings.database);
        let comment = Bson::String("onlyone serve".to_owned());
        let chats = Chats {
            chats: database.collection("chats"),
            locks: database.collection("chatLocks"),
            memory: MemoryLocks::default(),
            comment: comment.clone(),
        };
        let sessions = Sessions { sessions: database.collection("conversations"), comment: comment.clone() };
        let user_chats = UserChats {
            chats: database.collection("userChats"),
            locks: database.collection("messageLocks"),
            memory: MemoryLocks::default(),
            comment: comment.clone(),
        };
        let tasks = Tasks::new(database.collection("tasks"), user_chats.clone(), settings.strategies.merge);
        let threads = Threads {
            threads: database.collection("chat_threads"),
            messages: database.collection("chat_messages"),
            comment,
        };
        let planted = settings.planted.map(|planted| Arc::new(Room::new(planted, database.clone())));
        let service = Service { settings, connected, chats, sessions, user_chats, tasks, threads, planted };
        service.prepare(uri, &database).await?;
        if service.planted.is_none() {
            service.tasks.recover().await?;
        }
        service.connected.warm_up(service.settings.pool.max(1)).await;
        Ok(Arc::new(service))
    }

    async fn prepare(&self, uri: &MongoUri, database: &Database) -> Result<(), ServiceError> {
        let prepare = Prepare { uri, database };
        if let Some(planted) = &self.planted {
            return planted.prepare().await.map_err(|error| prepare.failed("creating indexes", error));
        }
        let unique = self.settings.unique_index;
        prepare.key(&self.chats.chats, create_or_get::KEY, unique).await?;
        prepare.key(&self.sessions.sessions, append::KEY, unique).await?;
        prepare.key(&self.user_chats.chats, merge::KEY, unique).await?;
        prepare.expiry(&self.chats.locks).await?;
        prepare.expiry(&self.user_chats.locks).await?;
        prepare.key(&self.threads.threads, thread::KEY, unique).await?;
        let by_thread = IndexOptions::default();
        prepare.index(&self.threads.messages, "thread", by_thread, "creating the index of messages by thread").await
    }
}

/// Makes collections ready. All of it can be done by several instances at once, and again.
struct Prepare<'a> {
    uri: &'a MongoUri,
    database: &'a Database,
}

impl Prepare<'_> {
    /// Creates the unique index on a key, or sees that there is none.
    async fn key(&self, collection: &Collection<Document>, field: &str, unique: bool) -> Result<(), ServiceError> {
        if unique {
            let options = IndexOptions::builder().unique(true).sparse(true).build();
            return self.index(collection, field, options, "creating the unique index").await;
        }
        // So that no request pays for creating the collection.
        match self.database.create_collection(collection.name()).await {
            Err(error) if crate::strategy::server_answer(&error).is_some_and(|(code, _)| code == 48) => {}
            other => other.map_err(|error| self.failed("creating the collection", error))?,
        }
        let failed = |error| self.failed("listing the indexes", error);
        let indexes: Vec<IndexModel> =
            collection.list_indexes().await.map_err(failed)?.try_collect().await.map_err(failed)?;
        let found = indexes.iter().any(|index| {
            let unique = index.options.as_ref().is_some_and(|options| options.unique == Some(true));
            unique && index.keys.keys().eq([field])
        });
        if found {
            return Err(ServiceError::UniqueIndex {
                database: self.database.name().to_owned(),
                collection: collection.name().to_owned(),
                field: field.to_owned(),
            });
        }
        Ok(())
    }

    /// Creates the index by which lock documents expire.
    async fn expiry(&self, collection: &Collection<Document>) -> Result<(), ServiceError> {
        let options = IndexOptions::builder().expire_after(Duration::ZERO).build();
        self.index(collection, "expiresAt", options, "creating the TTL index of the locks").await
    }

    async fn index(
        &self,
        collection: &Collection<Document>,
        field: &str,
        options: IndexOptions,
        step: &str,
    ) -> Result<(), ServiceError> {
        let model = IndexModel::builder().keys(doc! { field: 1 }).options(options).build();
        collection.create_index(model).await.map_err(|error| self.failed(step, error))?;
        Ok(())
    }

    fn failed(&self, step: &str, error: mongodb::error::Error) -> ServiceError {
        TargetError::Step { step: step.to_owned(), source: self.uri.redact(error) }.into()
    }
}
