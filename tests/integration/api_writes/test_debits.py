async def test_a_debit_of_a_wallet_that_never_was_is_404(client) -> None:
    body = {"amount": 500, "description": "10 SMS messages sent", "reference": "sms_batch_8821"}
    answer = await client.post("/v1/wallets/wal_nowhere/debit", json=body)
    assert answer.json() == {
        "success": False,
        "error": "The requested wallet resource 'wal_nowhere' was not found.",
    }
    assert answer.status_code == 404
