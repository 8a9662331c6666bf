//! Credentials in bodies: which are masked, and which values stay.

use super::*;

#[track_caller]
fn check(text: &str, expect: Option<&str>) {
    check_piece(text, false, expect);
    if expect.is_some() {
        let seen = json::seen(text.as_bytes());
        assert!(seen.is_none_or(|seen| seen.credentials), "not seen: {text}");
    }
}

#[track_caller]
fn check_piece(text: &str, pieces: bool, expect: Option<&str>) {
    let mask = Mask {
        marker: "#".into(),
        key: None,
    };
    let got = masked(text.as_bytes(), pieces, &mask, &mut Counts::default());
    let got = got.map(|json| String::from_utf8(json).unwrap());
    assert_eq!(got.as_deref(), expect, "{text}");
}

#[test]
fn a_member_of_the_name_is_masked_at_any_depth() {
    check(
        r#"{"api_key":"S","n":1}"#,
        Some(r##"{"api_key":"#","n":1}"##),
    );
    check(
        r#"[{"a":{"b":[{"clientSecret" : "S\"\u00e9"}, 2]}}]"#,
        Some(r##"[{"a":{"b":[{"clientSecret" : "#"}, 2]}}]"##),
    );
    check(
        r#"{"mcp_servers":[{"authorization_token":"S","name":"gh"}]}"#,
        Some(r##"{"mcp_servers":[{"authorization_token":"#","name":"gh"}]}"##),
    );
    check(
        r#"{"credentials":{"user":"S","n":1,"l":["T",null,true]},"x":"y"}"#,
        Some(r##"{"credentials":{"user":"#","n":1,"l":["#",null,true]},"x":"y"}"##),
    );
    check(
        r#"{"cookies":["S","T"],"a":["b"]}"#,
        Some(r##"{"cookies":["#","#"],"a":["b"]}"##),
    );
}

#[test]
fn headers_of_a_tool_or_a_server_are_masked_by_value() {
    check(
        r#"{"tools":[{"type":"mcp","headers":{"Authorization":"S","X-Team":"T"}}]}"#,
        Some(r##"{"tools":[{"type":"mcp","headers":{"Authorization":"#","X-Team":"#"}}]}"##),
    );
    check(
        r#"{"mcpServers":{"gh":{"headers":{"X-Team":"T"}}}}"#,
        Some(r##"{"mcpServers":{"gh":{"headers":{"X-Team":"#"}}}}"##),
    );
    check(
        r#"{"extra_headers":{"X-Team":"T"}}"#,
        Some(r##"{"extra_headers":{"X-Team":"#"}}"##),
    );
    check(
        r#"{"headers":{"from":"a","x-api-key":"S"},"x":{"headers":["a","b"]}}"#,
        Some(r##"{"headers":{"from":"a","x-api-key":"#"},"x":{"headers":["a","b"]}}"##),
    );
}

#[test]
fn json_in_a_string_is_masked_however_it_is_escaped() {
    check(
        r#"{"arguments":"{\"api_key\": \"S\", \"n\": 1}"}"#,
        Some(r##"{"arguments":"{\"api_key\": \"#\", \"n\": 1}"}"##),
    );
    check(
        r#"{"a":"{\u0022api_key\u0022:\u0022S\u0022}"}"#,
        Some(r##"{"a":"{\"api_key\":\"#\"}"}"##),
    );
    check(
        r#"{"a":"{\"b\":\"{\\\"pwd\\\":\\\"S\\\"}\"}"}"#,
        Some(r##"{"a":"{\"b\":\"{\\\"pwd\\\":\\\"#\\\"}\"}"}"##),
    );
    check(
        r#"{"a":"{\"api\\u005fkey\":\"S\"}"}"#,
        Some(r##"{"a":"{\"api\\u005fkey\":\"#\"}"}"##),
    );
    check(
        r#"{"content":"use {\"password\": \"S\"} here"}"#,
        Some(r##"{"content":"use {\"password\": \"#\"} here"}"##),
    );
    check(r#"{"api\u005fkey":"S"}"#, Some(r##"{"api\u005fkey":"#"}"##));
    check(r#""{\"pwd\":\"S\"}""#, Some(r##""{\"pwd\":\"#\"}""##));
    check(
        r#"{"a":"{\"u\":\"https://x/?sig=S\",\"h\":\"Bearer SECRET\"}"}"#,
        Some(r##"{"a":"{\"u\":\"https://x/?sig=#\",\"h\":\"Bearer #\"}"}"##),
    );
}

#[test]
fn a_value_that_shows_what_it_is_is_masked_under_any_name() {
    check(r#"{"h":"Bearer SECRET"}"#, Some(r##"{"h":"Bearer #"}"##));
    check(
        r#"{"image_url":{"url":"https:\/\/b\/x?X-Amz-Signature=S\u0026a=1"}}"#,
        Some(r##"{"image_url":{"url":"https://b/x?X-Amz-Signature=#&a=1"}}"##),
    );
    check(r#"["https://u:p@host/"]"#, Some(r##"["https://#@host/"]"##));
    check(r#"{"url":"https://host/x?a=1@b"}"#, None);
}

#[test]
fn what_describes_a_credential_is_kept() {
    let schema = r#"{"tools":[{"function":{"parameters":{"type":"object","properties":{"password":{"type":"string","description":"The user's","minLength":8},"headers":{"type":"object"},"token":{"type":["string","null"]},"secret":{"description":"d"}},"required":["password"]}}}]}"#;
    check(schema, None);
    check(
        r#"{"properties":{"api_key":{"type":"string","default":"S","enum":["a"]}}}"#,
        Some(r##"{"properties":{"api_key":{"type":"string","default":"#","enum":["a"]}}}"##),
    );
}

#[test]
fn what_is_no_credential_is_kept() {
    for text in [
        r#"{"max_tokens":5,"usage":{"prompt_tokens":1},"logprobs":{"content":[{"token":"Hi","logprob":-1,"bytes":[72],"top_logprobs":[{"token":"Hi","bytes":null,"logprob":-1}]}]}}"#,
        r#"{"logprobsResult":{"chosenCandidates":[{"token":"a","tokenId":1,"logProbability":-1}]}}"#,
        r#"{"logProbability":-1,"token":"reallylongtokenofamodel"}"#,
        r#"{"token":{"id":1,"text":"x","special":false},"generated_text":null}"#,
        r#"{"tokens":[{"token":"New"},{"token":"York"}]}"#,
        r#"{"bos_token":"<s>","eos_token":"</s>","pad_token":"<pad>","next_page_token":"abc"}"#,
        r#"{"key":"k","password":null,"secret":true,"token":7,"api_key":"","pwd":[],"jwt":{}}"#,
        r#"{"signature":"EqQB","thought_signature":"x","code":"invalid_api_key","pass":"yes"}"#,
        r#"{"content":"He said \"password\" and {\"key\": \"k\"}, \"password\": {\"type\": \"string\"}"}"#,
    ] {
        check(text, None);
    }
}

#[test]
fn a_token_is_a_credential_unless_it_is_a_piece_of_text() {
    check(r#"{"token":"S","x":1}"#, Some(r##"{"token":"#","x":1}"##));
    check_piece(r#"{"token":" Hel"}"#, true, None);
    check_piece(
        r#"{"token":"eyJhbGciOiJIUzI1NiJ9"}"#,
        true,
        Some(r##"{"token":"#"}"##),
    );
}

#[test]
fn a_cut_text_is_masked_as_far_as_it_goes() {
    check(r#"{"api_key":"secr"#, Some(r##"{"api_key":"#""##));
    check(
        r#"{"credentials":{"a":["secr"#,
        Some(r##"{"credentials":{"a":["#""##),
    );
    check(
        r#"{"arguments":"{\"api_key\": \"secr"#,
        Some(r##"{"arguments":"{\"api_key\": \"#\"""##),
    );
    check(r#"{"api_key":"#, None);
}

#[test]
fn hostile_text_takes_no_long_time() {
    for part in [
        "{\"secret\":",
        "{\"secret\":{\"type\":\"x\",\"a\":",
        "[",
        "\"",
        "\"{\\\"pwd\\\":",
    ] {
        let text = part.repeat(100_000);
        masked(
            text.as_bytes(),
            false,
            &Mask::default(),
            &mut Counts::default(),
        );
    }
}
