use super::{sealed::MEMORY_KIB, *};

fn secret() -> Secret {
    Secret::new(&Keypair::from_secret_bytes([7; 32]), None)
}

#[test]
fn secrets_round_trip_and_hide() {
    for password in [None, Some("x"), Some("påsswörd")] {
        let file = KeyFile::seal(&secret(), password).unwrap();
        let file = KeyFile::decode(&file.encode()).unwrap();
        assert_eq!(file.is_encrypted(), password.is_some());
        assert_eq!(file.open(password).unwrap().keypair().to_secret_bytes(), [7; 32]);
    }
    assert!(!format!("{:?}", secret()).contains("0707"));
}

#[test]
fn a_password_is_the_same_however_it_is_spelled() {
    let (composed, apart) = ("p\u{e4}ss", "pa\u{308}ss");
    let file = KeyFile::seal(&secret(), Some(apart)).unwrap();
    for typed in [composed, apart, "p\u{e4}ss\r\n", "pa\u{308}ss\n"] {
        file.open(Some(typed)).unwrap();
    }
    for typed in ["pass", "päss "] {
        assert!(matches!(file.open(Some(typed)), Err(KeyFileError::WrongPassword)));
    }
    // As an earlier release encrypted.
    let bare = Bare {
        secret_key: secret().secret_key().to_string(),
        mnemonic: None,
    };
    let address = secret().keys.address();
    for password in [apart, "with an end\r"] {
        let earlier = KeyFile {
            version: VERSION,
            address,
            secret: Contents::Encrypted(encrypt(&bare, password, &address).unwrap()),
        };
        earlier.open(Some(password)).unwrap();
    }
}

#[test]
fn what_nobody_sees_is_no_password() {
    for password in [
        "",
        "pw\r",
        "pw\n",
        "\u{1b}pw",
        &"x".repeat(PASSWORD_LENGTH_BYTES_MAX + 1),
    ] {
        assert!(matches!(
            KeyFile::seal(&secret(), Some(password)),
            Err(KeyFileError::BadPassword { .. })
        ));
    }
}

#[test]
fn a_damaged_file_is_not_repeated() {
    let key = "7a".repeat(32);
    for damaged in [
        format!(r#"{{"version":1,"address":"0x{key}","secret":"0x{key}"}}"#),
        format!(r#"{{"version":"0x{key}"}}"#),
        format!(r#"{{"version":1,"0x{key}":"\u001b[31m"}}"#),
    ] {
        let Err(error) = KeyFile::decode(damaged.as_bytes()) else {
            panic!("{damaged}")
        };
        let shown = error.to_string();
        assert!(!shown.contains(&key) && !shown.contains('\u{1b}'), "{shown}");
    }
}

#[test]
fn tampering_is_noticed() {
    let file = KeyFile::seal(&secret(), Some("password")).unwrap();
    let text = String::from_utf8(file.encode().to_vec()).unwrap();
    let other = Keypair::from_secret_bytes([8; 32]).address();
    let moved = text.replace(&file.address().to_string(), &other.to_string());
    let moved = KeyFile::decode(moved.as_bytes()).unwrap();
    assert!(matches!(
        moved.open(Some("password")),
        Err(KeyFileError::WrongPassword)
    ));
    let bare = KeyFile::seal(&secret(), None).unwrap();
    let text = String::from_utf8(bare.encode().to_vec()).unwrap();
    let moved = text.replace(&bare.address().to_string(), &other.to_string());
    let moved = KeyFile::decode(moved.as_bytes()).unwrap();
    assert!(matches!(moved.open(None), Err(KeyFileError::WrongAddress { .. })));
}

#[test]
fn costly_and_later_files_are_refused() {
    let file = KeyFile::seal(&secret(), Some("password")).unwrap();
    let text = String::from_utf8(file.encode().to_vec()).unwrap();
    let costly = text.replace(
        &format!("\"memory_kib\": {MEMORY_KIB}"),
        "\"memory_kib\": 4294967295",
    );
    let costly = KeyFile::decode(costly.as_bytes()).unwrap();
    assert!(matches!(
        costly.open(Some("password")),
        Err(KeyFileError::TooCostly { .. })
    ));
    let later = text.replace("\"version\": 1", "\"version\": 2");
    assert!(matches!(
        KeyFile::decode(later.as_bytes()),
        Err(KeyFileError::UnsupportedVersion { found: 2 })
    ));
}
