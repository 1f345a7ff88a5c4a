/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Inline functions, macros and bit fields of the network stack as real functions. Nothing is
 * decided here.
 */
#ifndef SIDE_NET_SHIM_H
#define SIDE_NET_SHIM_H

#include <linux/netdevice.h>
#include <linux/skbuff.h>

/* What a driver may say of a received packet. */
struct side_rx_meta {
	s64 hwtstamp;
	u32 hash;
	u16 vlan_proto;
	u16 vlan_tci;
	u16 queue;
	u8 hash_type;
	bool has_vlan;
	bool checked;
};

const void *side_skb_frag(const struct sk_buff *skb, u32 n, u32 *len);
struct sk_buff *side_netdev_alloc_skb(struct net_device *dev, u32 len);
void side_skb_in_progress(struct sk_buff *skb);
void side_skb_queue_init(struct sk_buff_head *list);
u32 side_skb_queue_len(const struct sk_buff_head *list);
struct sk_buff *side_skb_get(struct sk_buff *skb);
void side_skb_receive(struct sk_buff *skb, struct net_device *dev,
		      const struct side_rx_meta *meta);

netdev_features_t side_features_check(const struct sk_buff *skb, netdev_features_t features);

void *side_netdev_priv(struct net_device *dev);
u32 side_netdev_priv_flags(const struct net_device *dev);
void side_netdev_set_priv_flags(struct net_device *dev, u32 flags);
struct netdev_queue *side_netdev_queue(struct net_device *dev, u32 n);
void side_txq_stop(struct netdev_queue *queue);
bool side_txq_stopped(const struct netdev_queue *queue);
bool side_txq_sent(struct net_device *dev, u32 n, u32 bytes, bool more);
void side_txq_completed(struct netdev_queue *queue, u32 packets, u32 bytes);
bool side_xmit_more(void);
void side_smp_mb(void);
u64 side_task(void);
void side_queue_forget_napi(struct net_device *dev, u32 n, bool tx);
void side_txq_reset(struct netdev_queue *queue);
void side_txq_touch(struct netdev_queue *queue);
void side_txq_lock(struct netdev_queue *queue);
void side_txq_unlock(struct netdev_queue *queue);
bool side_txq_trylock(struct netdev_queue *queue);
void side_txq_unlock_only(struct netdev_queue *queue);
bool side_txq_held_up(const struct netdev_queue *queue);
void side_netif_addr_lock(struct net_device *dev);
void side_netif_addr_unlock(struct net_device *dev);
bool side_netif_running(const struct net_device *dev);

#endif
