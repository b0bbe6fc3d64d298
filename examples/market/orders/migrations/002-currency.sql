ALTER TABLE orders ADD COLUMN currency TEXT DEFAULT :currency;
