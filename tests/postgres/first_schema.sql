-- Rows of every table of the first schema, as its version wrote them (tests/postgres/test_migrations.py).
insert into ingest_run (source, run_key, rows_read, new, duplicate_text, quarantined)
values ('files', 'first', 4, 2, 1, 1);

insert into source_cursor (source, cursor, rows_read) values ('files', '{"kind": "files"}', 4);

insert into review
    (review_id, source, text, rating, user_id, reviewed_at, words, text_hash, side, duplicate_of, ingest_run_id)
values
    ('a', 'files', 'A text.', 5, 'anna', now(), 2, 'hash a', 'train', null, 1),
    ('b', 'files', 'Another.', 1, 'ben', now(), 1, 'hash b', 'test', null, 1),
    ('c', 'files', 'A text.', 4, 'cleo', now(), 2, 'hash a', 'train', 'a', 1);

insert into quarantine (row_hash, source, reason, detail, raw, ingest_run_id)
values ('row', 'files', 'blocklisted', 'contains it', 'raw', 1);

insert into prediction
    (review_id, model_version, p_negative, p_neutral, p_positive, sentiment, confidence, abstained)
values ('a', 'rs-1', 0.1, 0.1, 0.8, 'positive', 0.8, false);

insert into label_task
    (review_id, status, reasons, priority, inclusion_probability, consensus, done_at, merged_at)
values ('a', 'merged', '{uncertain,audit}', 0.5, 1, 'positive', now(), now());

insert into label (task_id, labeler, sentiment, source) values (1, 'ann', 'positive', 'person');

insert into label_skip (task_id, labeler) values (1, 'bob');

insert into snapshot (snapshot_hash, train_rows, validation_rows, test_rows, people_rows) values ('s', 1, 1, 1, 1);

insert into snapshot_label values ('s', 1);

insert into verdict (challenger, snapshot_hash, rules_hash, passed, provisional, lines)
values ('rs-1', 's', 'rules', true, false, '[]');

insert into verdict_review values (1, 'b');

insert into release (model_version, kind, provisional, released_by, reason)
values ('rs-1', 'release', false, 'ann', 'it passed');

insert into drift_report (run_key, model_version, window_rows, enough_rows, findings)
values ('run', 'rs-1', 10, false, '{}');

insert into alert (alert_key, kind, subject, details, mailed_at)
values
    ('drift:run', 'drift', 'It drifts', '{"findings": []}', now()),
    ('drift:next', 'drift', 'It drifts', '{"findings": []}', null);
