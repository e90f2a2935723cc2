//! The forms of the design: task groups and scopes that need no type annotation, in functions and
//! inside spawned tasks, which need them to be `Send`.
#![allow(missing_docs, clippy::unwrap_used)]

use std::future::Future;
use std::io;
use std::num::ParseIntError;
use std::time::Duration;

use anyrt::net::{TcpListener, TcpStream, UdpSocket};
use anyrt::{fail_after, local_group, move_on_after, task_group, try_local_group, try_task_group};

const SECOND: Duration = Duration::from_secs(1);

async fn tick() {
    anyrt::checkpoint().await;
}

async fn read(number: u32) -> io::Result<u32> {
    anyrt::checkpoint().await;
    Ok(number)
}

async fn parse(number: u32) -> Result<u32, ParseIntError> {
    number.to_string().parse()
}

async fn no_errors() {
    task_group(async |tg| {
        tg.spawn(tick());
        tg.spawn(async {
            tick().await;
        });
    })
    .await
    .unwrap();
}

async fn one_error_type() -> io::Result<()> {
    task_group(async |tg| {
        tg.try_spawn(read(1));
        tg.try_spawn(async {
            read(2).await?;
            anyrt::ok(())
        });
    })
    .await?;
    Ok(())
}

async fn different_errors() -> io::Result<u32> {
    let n = try_task_group(async |tg| {
        let a = tg.try_spawn(read(1));
        let b = tg.try_spawn(parse(2));
        Ok(a.await? + b.await?)
    })
    .await?;
    Ok(n)
}

async fn values_of_children() -> io::Result<u32> {
    let v = try_task_group(async |tg| {
        let a = tg.spawn(async { 1 });
        let b = tg.spawn(async { "two".to_string() });
        Ok(a.await? + b.await?.len() as u32)
    })
    .await?;
    Ok(v)
}

async fn a_value() -> io::Result<u32> {
    let n = task_group(async |tg| {
        tg.try_spawn(read(1));
        42
    })
    .await?;
    Ok(n)
}

fn is_send<F: Future + Send>(future: F) -> F {
    future
}

#[anyrt::test]
async fn they_compile_and_run() {
    no_errors().await;
    one_error_type().await.unwrap();
    assert_eq!(different_errors().await.unwrap(), 3);
    assert_eq!(values_of_children().await.unwrap(), 4);
    assert_eq!(a_value().await.unwrap(), 42);
}

#[anyrt::test]
async fn they_are_send_inside_spawned_tasks() {
    let task = anyrt::spawn(is_send(async {
        task_group(async |tg| {
            tg.spawn(tick());
            tg.spawn(async {
                tick().await;
            });
        })
        .await
        .unwrap();
        task_group(async |tg| {
            tg.try_spawn(read(1));
            tg.try_spawn(async {
                read(2).await?;
                anyrt::ok(())
            });
        })
        .await
        .unwrap();
        let different = try_task_group(async |tg| {
            let a = tg.try_spawn(read(1));
            let b = tg.try_spawn(parse(2));
            Ok(a.await? + b.await?)
        })
        .await
        .unwrap();
        let values = try_task_group(async |tg| {
            let a = tg.spawn(async { 1 });
            let b = tg.spawn(async { "two".to_string() });
            Ok(a.await? + b.await?.len() as u32)
        })
        .await
        .unwrap();
        let value = task_group(async |tg| {
            tg.try_spawn(read(1));
            42
        })
        .await
        .unwrap();
        different + values + value
    }));
    assert_eq!(task.await.unwrap(), 3 + 4 + 42);
}

#[anyrt::test]
async fn connecting_is_send_whatever_the_address_is_given_as() {
    let task = anyrt::spawn(is_send(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let text = address.to_string();
        TcpStream::connect(address).await.unwrap();
        TcpStream::connect(text.as_str()).await.unwrap();
        TcpStream::connect(&text).await.unwrap();
        TcpStream::connect(("127.0.0.1", address.port())).await.unwrap();
        UdpSocket::bind("127.0.0.1:0").await.unwrap();
        anyrt::net::resolve("localhost", 80).await.map(drop).unwrap_or_default();
    }));
    task.await.unwrap();
}

/// Groups in children of groups, with values of the outer one borrowed by the body.
#[anyrt::test]
async fn they_nest() {
    let text = String::from("outer");
    let (length, inner) = try_task_group(async |tg| {
        let inner = tg.spawn(async {
            task_group(async |tg| {
                tg.spawn(tick());
                tg.is_closed()
            })
            .await
            .unwrap()
        });
        Ok((text.len(), inner.await?))
    })
    .await
    .unwrap();
    assert_eq!((length, inner), (5, false));
}

#[anyrt::test]
async fn time_limits_and_scopes_need_none_either() {
    let task = anyrt::spawn(is_send(async {
        let n = move_on_after(SECOND, read(1)).await.unwrap().unwrap();
        let m = fail_after(SECOND, read(2)).await.unwrap().unwrap();
        let r = anyrt::CancelScope::new()
            .reason("a reason")
            .run(async |scope| {
                assert!(!scope.is_cancelled());
                anyrt::shield(read(3)).await
            })
            .await
            .unwrap()
            .unwrap();
        let f = anyrt::finally(read(4), async |_| tick().await).await.unwrap();
        n + m + r + f
    }));
    assert_eq!(task.await.unwrap(), 10);
}

#[anyrt::test]
async fn children_that_borrow_need_none() {
    let text = String::from("borrowed");
    let length = local_group(async |s| {
        let child = s.spawn(async { text.len() });
        child.await.unwrap()
    })
    .await
    .unwrap();
    let parsed = try_local_group(async |s| {
        let child = s.try_spawn(async { "42".parse::<usize>() });
        Ok(child.await? + text.len())
    })
    .await
    .unwrap();
    assert_eq!((length, parsed), (8, 50));
}
