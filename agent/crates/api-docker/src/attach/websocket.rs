//! The same over a WebSocket (RFC 6455), for browsers: raw bytes both ways, and no half-closed connections.

use super::{Wish, connect, prepare};
use crate::State;
use crate::connection;
use crate::error::{Answer, ApiError};
use crate::query::Query;
use crate::version::Spoken;
use axum::Extension;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade, rejection::WebSocketUpgradeRejection};
use axum::extract::{Path, RawQuery, State as Shared};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

/// Bytes on their way between the socket and the container.
const PIPE: usize = 64 << 10;

/// `GET /containers/{id}/attach/ws`
pub(crate) async fn attach(
    Shared(state): Shared<State>,
    Extension(spoken): Extension<Spoken>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Answer {
    let wish = Wish::read(&Query::parse(query.as_deref()))?;
    let upgrade = upgrade.map_err(|e| ApiError::bad_request(e.body_text()))?;
    let attached = prepare(&state, &id, wish).await?;
    let binary = spoken >= Spoken(1, 28);
    Ok(upgrade.on_upgrade(move |socket| async move {
        let (ours, theirs) = tokio::io::duplex(PIPE);
        let (reader, writer) = connection::piped(theirs);
        tokio::join!(carry(socket, ours, binary), connect(state, attached, false, reader, writer));
    }))
}

/// Carries bytes between a WebSocket and a pipe until either ends.
async fn carry(socket: WebSocket, pipe: DuplexStream, binary: bool) {
    let (mut said, mut heard) = socket.split();
    let (mut output, mut input) = tokio::io::split(pipe);
    let incoming = async move {
        while let Some(Ok(message)) = heard.next().await {
            let bytes = match message {
                Message::Binary(bytes) => bytes,
                Message::Text(text) => text.into(),
                Message::Ping(_) | Message::Pong(_) => continue,
                Message::Close(_) => break,
            };
            if input.write_all(&bytes).await.is_err() {
                break;
            }
        }
        _ = input.shutdown().await;
    };
    let outgoing = async move {
        let mut buffer = vec![0; 32 << 10];
        while let Ok(length @ 1..) = output.read(&mut buffer).await {
            let message = match (binary, std::str::from_utf8(&buffer[..length])) {
                (false, Ok(text)) => Message::Text(text.into()),
                _ => Message::Binary(buffer[..length].to_vec().into()),
            };
            if said.send(message).await.is_err() {
                return;
            }
        }
        _ = said.send(Message::Close(None)).await;
    };
    tokio::select! {
        () = outgoing => {}
        () = incoming => {}
    }
}
