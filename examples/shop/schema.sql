create table if not exists accounts (
    name text primary key,
    password text not null            -- salt and scrypt hash, see security.py
);

create table if not exists products (
    id integer primary key,
    name text not null unique,
    price text not null,              -- decimal, two places
    stock integer not null check (stock >= 0),
    picture blob,
    picture_type text
);

create table if not exists orders (
    id integer primary key,
    account text not null references accounts (name),
    placed_at text not null,
    confirmed integer not null default 0
);

create table if not exists order_lines (
    order_id integer not null references orders (id),
    product_id integer not null references products (id),
    quantity integer not null check (quantity > 0),
    price text not null,
    primary key (order_id, product_id)
);
