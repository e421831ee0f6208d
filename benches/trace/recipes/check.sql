.bail off
create table words (id integer primary key, word text unique, size int check (size > 0));
with recursive n(x) as (select 1 union all select x + 1 from n where x < 2000)
  insert into words select x, printf('%05d', (x * 7919) % 100003), x % 17 + 1 from n;
create index sizes on words (size, word);
select size, count(*), sum(id), group_concat(distinct id % 3) from words group by size having count(*) > 100 order by 2 desc, 1 limit 5;
insert into words values (1, 'twice', 1);
insert into words values (3000, 'negative', -1);
create virtual table texts using fts5 (body);
insert into texts select word || ' and ' || size from words;
select count(*) from texts where texts match '"and 7"';
create virtual table boxes using rtree (id, left, right, bottom, top);
insert into boxes select id, id % 50, id % 50 + 2, id % 40, id % 40 + 3 from words;
select count(*), min(id) from boxes where left < 10 and right > 9 and top > 20;
begin; delete from words where size < 9; savepoint one; update words set size = size + 1; rollback to one; commit;
create trigger watch after update on words begin select raise(abort, 'watched') where new.size = 10; end;
update words set size = 10 where id = 9;
select count(*), sum(size) from words;
select json_group_array(json_object('w', word)) from (select word from words order by word limit 3);
select * from nothing;
explain query plan select * from words where size = 12 and word > '5' order by word;
vacuum; pragma integrity_check;
